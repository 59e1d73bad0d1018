"""From what a user asked for to a checked `Run` with nothing left open."""

from __future__ import annotations

import math

from sde_si.errors import BadInput, require, require_known
from sde_si.hyperparameters import SMALLEST, HyperParameters, check_count, check_number
from sde_si.machine import check_memory
from sde_si.methods import METHODS, Method
from sde_si.noises import NOISES, SAMPLINGS
from sde_si.problem import Problem
from sde_si.run import Run

EXACT_FACTOR_LIMIT = 2e7


def find_method(name: str | Method) -> Method:
    """The method of that name.

    Raises
    ------
    BadInput
        If there is none.
    """
    if isinstance(name, Method):
        return name
    require_known("method", name, METHODS, advice="sgd,splitting")
    return METHODS[name]


def default_methods(problem: Problem) -> tuple[str, ...]:
    """The discrete optimizer, and the best integrator of the SDE for this loss."""
    return ("sgd", "em" if problem.loss.noise is not None or problem.loss.finite_sum else "splitting")


def resolve(
    problem: Problem,
    hyperparameters: HyperParameters,
    *,
    method: str | Method = "sgd",
    paths: int = 64,
    seed: int = 0,
    substeps: int | None = None,
    noise: str | None = None,
    sampling: str = "replacement",
    init_norm: float | str = "1eq",
    lags: tuple[int, ...] = (),
    noise_from: int | None = None,
    epochs_known: bool = True,
) -> Run:
    """Fill in the defaults and refuse what cannot be run.

    Raises
    ------
    BadInput
        Naming the argument, what was expected, what it got, and what to try.
    """
    method = find_method(method)
    check_count("paths", paths, advice="64")
    check_count("seed", seed, least=0, advice="0")
    loss, hp = problem.loss, hyperparameters
    check_memory("epochs", 200.0 * paths * hp.epochs, f"{hp.epochs} epochs of {paths} paths", "fewer")
    check_memory("N", 400.0 * hp.steps_per_epoch, f"{hp.steps_per_epoch} steps an epoch", "a smaller N/B")
    hyperparameters = _with_extras(method, hyperparameters)
    scheme = method.scheme(hyperparameters.momentum > 0)
    if scheme is None:
        raise BadInput(
            "method", f"momentum 0 for {method.name}", f"momentum {hyperparameters.momentum:g}", "--momentum 0"
        )
    substeps = _substeps(method, loss.finite_sum, substeps)
    noise, sampling = _noise(problem, method, noise, sampling)
    run = Run(
        problem=problem,
        hyperparameters=hyperparameters,
        method=method,
        paths=int(paths),
        seed=int(seed),
        substeps=substeps,
        noise=noise,
        sampling=sampling,
        start_norm=1.0,
        lags=tuple(sorted(set(lags))),
        noise_from=0 if noise_from is None else noise_from,
    )
    arrays = run.arrays
    if loss.noise is None:
        require(
            math.isfinite(arrays.noise_variance),
            "loss",
            "a loss with a parameter noise_scale or a noise of its own",
            loss.name,
        )
    if method.constant_trace:
        require(
            math.isfinite(arrays.noise_variance),
            "method",
            f"a loss whose noise trace is constant for {method.name}",
            loss.name,
            "em",
        )
    require(
        math.isfinite(arrays.noise_variance) or run.timetable.own_noise,
        "schedule",
        "isotropic noise, or no factor on its variance",
        f"{hyperparameters.schedule} on {loss.name}",
        "constant",
    )
    if loss.finite_sum and noise == "gaussian":
        cost = arrays.N * arrays.dim
        require(
            cost <= EXACT_FACTOR_LIMIT,
            "noise",
            f"N * dim <= {EXACT_FACTOR_LIMIT:.0e} for the exact factor of the covariance",
            f"{cost:.1e}",
            "difference",
        )
    total = int(run.timetable.start[-1])
    for lag in run.lags:
        check_count("lags", lag, advice="1,2,5,10")
        require(lag <= total or not epochs_known, "lags", f"lags of at most {total} steps, the whole run", lag)
    if noise_from is not None:
        check_count("noise_from", noise_from, advice=str(2 * substeps))
        require(
            noise_from % substeps == 0,
            "noise_from",
            f"a multiple of {substeps}, the substeps of {method.name}",
            noise_from,
            str(2 * substeps),
        )
        require(
            scheme.coupled and run.law is not None and run.law.fill is not None,
            "noise_from",
            "a method that is driven by summed increments (sgd, em)",
            f"{method.name} with noise {noise}",
            "em",
        )
    return run.replace(start_norm=start_norm(run, init_norm))


EXTRAS = ("beta2", "eps")


def unused_extras(method: Method) -> dict[str, None]:
    """Changes that take away the hyperparameters that a method does not use."""
    return {name: None for name in EXTRAS if name not in method.extras}


def _with_extras(method: Method, hp: HyperParameters) -> HyperParameters:
    """The method's own hyperparameters, defaults filled in; those of others refused."""
    for name in EXTRAS:
        users = ", ".join(other.name for other in METHODS.values() if name in other.extras)
        fits = getattr(hp, name) is None or name in method.extras
        require(fits, name, f"a method that uses it ({users})", method.name, "adamw")
    return hp.replace(**{name: v for name, v in method.extras.items() if getattr(hp, name) is None})


def _substeps(method: Method, finite_sum: bool, substeps: int | None) -> int:
    require(substeps is None or method.sde, "substeps", "a method of the SDE", method.name, "em")
    if substeps is None:
        return min(method.substeps, 4) if finite_sum else method.substeps
    check_count("substeps", substeps, advice=str(method.substeps))
    return substeps


def _noise(problem: Problem, method: Method, noise: str | None, sampling: str) -> tuple[str, str]:
    """Noise and sampling of one method, defaults filled in; "minibatch" where real minibatches are drawn."""
    loss = problem.loss
    require_known("sampling", sampling, SAMPLINGS)
    if noise is not None:
        require_known("noise", noise, NOISES)
    if sampling == "reshuffle":
        fits = (loss.finite_sum or loss.flat) and not method.sde
        require(
            fits,
            "sampling",
            "a discrete optimizer on a finite sum or on isotropic for reshuffling",
            f"{method.name} on {loss.name}",
            "--method sgd",
        )
        require(loss.finite_sum or noise in (None, "gaussian"), "noise", "gaussian noise for reshuffling", noise)
    if loss.finite_sum:
        if not method.sde or method.name == "svag":
            require(noise is None, "noise", f"true minibatches for {method.name} on {loss.name}", noise, "no --noise")
            return "minibatch", sampling
        chosen = noise or "difference"
        require(
            chosen in ("gaussian", "difference"),
            "noise",
            f"gaussian or difference for {loss.name}",
            chosen,
            "difference",
        )
        return chosen, "replacement"
    require(noise != "difference", "noise", "a finite sum (pca, regression) for difference", loss.name, "gaussian")
    require(
        noise != "fixed-length" or loss.noise is None,
        "noise",
        "isotropic tangential noise for fixed-length",
        loss.name,
        "gaussian",
    )
    return noise or "gaussian", sampling


def read_norm(text: float | str) -> tuple[float, bool]:
    """A length, or ``0.3eq`` as (0.3, True): a multiple of the predicted equilibrium length.

    Raises
    ------
    BadInput
        If it is neither.
    """
    advice = "1eq or 2.5"
    try:
        multiple = isinstance(text, str) and text.endswith("eq")
        value = float(text[:-2] if isinstance(text, str) and multiple else text)
    except ValueError:
        raise BadInput("init_norm", "a length or a multiple of the equilibrium norm", repr(text), advice) from None
    check_number("init_norm", value, above=0, below=1 / SMALLEST, advice=advice)
    return value, multiple


def start_norm(run: Run, text: float | str) -> float:
    """Length of the weights at the start; a multiple of 1 where no equilibrium length is known."""
    value, multiple = read_norm(text)
    if not multiple:
        return value
    from sde_si.theory import equilibrium_norm

    # At the base lr: where a schedule ends says nothing about where it begins.
    known = equilibrium_norm(run.replace(hyperparameters=run.hyperparameters.replace(schedule="constant")))
    return value * (known if known is not None else 1.0)
