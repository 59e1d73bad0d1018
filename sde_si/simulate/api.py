"""`simulate`: a problem and hyperparameters in, a record out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sde_si.errors import BadInput, require
from sde_si.hyperparameters import HyperParameters, check_count
from sde_si.methods import Method
from sde_si.problem import Problem
from sde_si.resolve import resolve
from sde_si.run import Run

if TYPE_CHECKING:
    import xarray as xr

    from sde_si.engine import Observe, Progress

WANTED_EPOCHS = 20
NO_EQUILIBRIUM = "weight decay above 0: without it there is no equilibrium"


def simulate(
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
    until_equilibrium: bool = False,
    target_error: float | None = None,
    observe: Observe | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Simulate an optimizer or the SDE on a synthetic scale-invariant loss.

    Parameters
    ----------
    problem : Problem
        The loss with its dimension and parameters.
    hyperparameters : HyperParameters
        N, B, lr, wd, momentum, epochs, schedule.
    method : str or Method
        A name in `sde_si.METHODS`: ``sgd``, ``sgd-torch``, ``sgdw``, ``adam``, ``adamw``, ``lion`` are
        optimizers; ``em``, ``splitting`` integrate the SDE (Yun et al. eqs. 12, 15, 19-22), ``svag`` approaches it.
    paths : int
        Independent trajectories; the first 40 of 100 are those of a run of 40.
    seed : int
        Decides every random number.
    substeps : int, optional
        Substeps per optimizer step of an SDE method.
    noise : str, optional
        A name in `sde_si.NOISES`; a finite sum draws real minibatches in an optimizer and ``difference`` in an SDE.
    sampling : {"replacement", "reshuffle"}
        How minibatches are drawn.
    init_norm : float or str
        Length of the weights at the start, or ``"0.3eq"``: a multiple of the predicted equilibrium length.
    lags : tuple of int
        Record ``cos_lag`` at these lags, in optimizer steps, from the start of every epoch.
    noise_from : int, optional
        Drive the run by the summed increments of a run with so many substeps and the same seed.
    until_equilibrium : bool
        Go on until 20 epochs are equilibrated, whatever ``hyperparameters.epochs`` says.
    target_error : float, optional
        Add paths until the relative standard error of 1 - cos_epoch is at most this.
    observe : mapping of str to callable, optional
        ``function(x) -> values[path]`` of the weights ``x[path, d]``, plain or jitted, called after every epoch.
    threads : int, optional
        Worker threads; the numbers do not depend on them.
    progress : callable, optional
        Called with the number of path-steps done since the last call.

    Returns
    -------
    xarray.Dataset
        The record: dimensions path, epoch, group (and lag); `sde_si.record.SCHEMA` names the variables and units.

    Raises
    ------
    BadInput
        If an argument is wrong; before any work.

    Examples
    --------
    >>> hp = HyperParameters(N=1280, B=128, wd=5e-3, epochs=2)
    >>> record = simulate(Problem("isotropic", dim=8), hp, paths=4)
    >>> dict(record.sizes)
    {'path': 4, 'epoch': 2, 'group': 1}
    """
    run = resolve(
        problem,
        hyperparameters,
        method=method,
        paths=paths,
        seed=seed,
        substeps=substeps,
        noise=noise,
        sampling=sampling,
        init_norm=init_norm,
        lags=lags,
        noise_from=noise_from,
    )
    if threads is not None:
        check_count("threads", threads)
    if target_error is not None:
        check_target(target_error)
        require(hyperparameters.wd > 0, "target_error", NO_EQUILIBRIUM, "wd = 0", "wd=5e-4")
    if until_equilibrium:
        run = begin_of_search(run)
    from sde_si.simulate.session import Session

    session = Session(run, observe=observe, threads=threads, progress=progress)
    session.advance()
    if until_equilibrium:
        while (longer := next_epochs(session.run, session.record())) is not None:
            session.change(longer)
            session.advance()
    if target_error is not None:
        while (wider := next_paths(session.run, session.record(), target_error)) is not None:
            session.change(wider)
    return session.record()


def check_target(target: float) -> None:
    """Refuse a relative error that is none."""
    require(
        isinstance(target, float) and 1e-6 <= target < 1,
        "target_error",
        "a relative error from 0.0001% to below 100%",
        target,
        "0.3%",
    )


def begin_of_search(run: Run) -> Run:
    """A run of `epochs = "auto"`: the transient that theory demands and 20 epochs.

    Raises
    ------
    BadInput
        If there will never be an equilibrium, or the schedule's shape depends on the number of epochs.
    """
    from sde_si.estimators import candidate_epoch
    from sde_si.theory import relaxation_rate

    rate = relaxation_rate(run)
    known = "a method and loss whose time to equilibrium is known for auto"
    require(not math.isnan(rate), "epochs", known, f"{run.method.name} on {run.problem.loss.name}", "40")
    first = candidate_epoch(run.timetable.last_change, rate / 4)
    require(
        not math.isinf(first),
        "epochs",
        "weight decay above 0 for auto (without it there is no equilibrium)",
        "auto",
        "40",
    )
    run = _with_epochs(run, int(first) - 1 + WANTED_EPOCHS)
    longer = _with_epochs(run, 2 * run.hyperparameters.epochs)
    if longer.timetable.last_change != run.timetable.last_change:
        raise BadInput(
            "epochs", "a number for a schedule whose shape depends on it or that never settles", "auto", "40"
        )
    return run


def _with_epochs(run: Run, epochs: int) -> Run:
    return run.replace(hyperparameters=run.hyperparameters.replace(epochs=epochs))


HOPELESS = 40  # times the length of the first attempt


def next_epochs(run: Run, record: xr.Dataset) -> Run | None:
    """The run to go on with until 20 epochs are equilibrated; None when they are, or when it is hopeless."""
    from sde_si.estimators import window_of

    found, total = window_of(record), run.hyperparameters.epochs
    alive = (record["diverged_step"].values < 0).any()
    have = total - found.first + 1 if found else 0
    if have >= WANTED_EPOCHS or not alive:
        return None
    longer = total + (WANTED_EPOCHS - have if found else max(WANTED_EPOCHS, total // 2))
    return _with_epochs(run, longer) if longer <= HOPELESS * begin_of_search(run).hyperparameters.epochs else None


def next_paths(run: Run, record: xr.Dataset, target: float) -> Run | None:
    """The run with the paths that the target still needs; None when it is reached or out of reach."""
    from sde_si.estimators import epoch_estimate, equilibrium, window_of

    found, quantity = window_of(record), "versine_epoch"
    last = run.hyperparameters.epochs
    estimate = equilibrium(record, found, quantity) if found else epoch_estimate(record, quantity, last)
    error = estimate.stderr / abs(estimate.value) if estimate.value else math.nan
    if not math.isfinite(error) or error <= target:
        return None
    # never more than eight times at once: the error is itself an estimate
    wanted = math.ceil(run.paths * min(8.0, max(1.1, 1.05 * (error / target) ** 2)))
    return run.replace(paths=wanted)
