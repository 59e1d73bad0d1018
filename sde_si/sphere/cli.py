"""``sde-si sphere``: a sweep over effective learning rates, its regimes and its threshold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_si.errors import DONE, BadInput, require
from sde_si.hyperparameters import SMALLEST, check_count, check_number
from sde_si.options import FLOAT, INT, JSON, NO_FIGURE, OUT, QUIET, TEXT, flag, options_class, parse, real, whole
from sde_si.simulate.options import LOSS_FLAGS
from sde_si.terminal import emit, guarded

if TYPE_CHECKING:
    from sde_si.sphere.setting import Setting

DIM = 16
MOST = 1000  # effective learning rates of one sweep
EACH = 1e-8  # s that a number of a step takes, about
LONG = 600.0  # s of processor time that are said in advance
_OWN: dict[str, tuple[Any, Any]] = {
    "effective_lr": flag(TEXT, "0.03:30:25", "total effective LRs: LO:HI:N, evenly spaced in the log, or A,B,..."),
    "loss": flag(TEXT, "groups", "groups, pca, regression, vmf, or any other of sde-si simulate --list"),
    "dim": flag(INT, None, f"dimension of the weights [default {DIM}; two for each of --alphas]"),
    "constraint": flag(TEXT, "total", "hold at length 1 all weights together (total), or each group's share (groups)"),
    "method": flag(TEXT, "sgd", "sgd, or em for the SDE on the sphere"),
    "noise": flag(TEXT, None, "none, gaussian, rademacher, fixed-length, difference, or minibatch "
                              "[default none; gaussian with --noise-scale; minibatch with --B for a finite sum]"),
    "B": flag(INT, None, "batch size [default 1]"),
    "N": flag(INT, None, "rows of generated data [default 1000, or those of --data]"),
    "substeps": flag(INT, None, "substeps of em [default 8, finite sum 4]"),
    "starts": flag(INT, 16, "random starts at every effective LR"),
    "iterations": flag(INT, 20_000, "iterations of every start"),
    "seed": flag(INT, 0, "decides every random number"),
    "no_threshold": flag(bool, False, "do not measure the threshold of convergence"),
}  # fmt: skip
_OUTPUT: dict[str, tuple[Any, Any]] = {
    "threads": flag(INT, None, "worker threads [default: all cores]; the numbers do not depend on them"),
    "out": OUT,
    "config": flag(TEXT, None, "TOML file with any of these flags; flags override it"),
    "fresh": flag(bool, False, "compute again what has a record"),
    "no_figure": NO_FIGURE,
    "json": JSON,
    "quiet": QUIET,
}
_LOSSES = {name: (FLOAT, None) if name == "noise_scale" else entry for name, entry in LOSS_FLAGS.items()}
_LOSSES["noise_scale"] = flag(
    FLOAT, None, "variance of each sample's gradient noise per tangential direction [default 0; 1 with --noise]"
)
RUN_FLAGS = frozenset(_OWN | _LOSSES) - {"no_threshold"}  # what decides the numbers at one effective LR
Options = options_class(
    "Options",
    _OWN | _LOSSES | _OUTPUT,
    "Train on the sphere at fixed effective learning rates: convergence, chaotic equilibrium, divergence.",
)


def main(args: Sequence[str] | None = None) -> int:
    """``sde-si sphere``; returns the exit code."""
    return guarded(lambda: _main(args))


def read_rates(text: str) -> tuple[float, ...]:
    """``LO:HI:N`` or ``A,B,...`` as increasing numbers.

    Raises
    ------
    BadInput
        If it is neither.
    """
    advice = "0.03:30:25 or 0.1,0.2,0.5"
    expected = "LO:HI:N with 0 < LO < HI and a whole number N >= 2, or positive numbers A,B,..."
    try:
        if ":" in text:
            low, high, count = text.split(":")
            first, last, points = real(low), real(high), whole(count)
            require(0 < first < last < 1 / SMALLEST and points >= 2, "effective_lr", expected, repr(text), advice)
            require(points <= MOST, "effective_lr", f"at most {MOST} effective LRs", points, advice)
            return tuple(first * (last / first) ** (i / (points - 1)) for i in range(points))
        rates = [real(part) for part in text.split(",")]
    except ValueError as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput("effective_lr", expected, repr(text), advice) from None
    for rate in rates:
        check_number("effective_lr", rate, least=SMALLEST, below=1 / SMALLEST, advice=advice)
    require(len(set(rates)) == len(rates), "effective_lr", "each effective LR once", repr(text), advice)
    return tuple(sorted(rates))


def setting_of(options: Any) -> Setting:
    """The `Setting` that the flags describe."""
    from sde_si.problem import Problem, find_loss
    from sde_si.sphere.setting import Setting

    loss = find_loss(options.loss)
    given = {name: getattr(options, name) for name in LOSS_FLAGS if getattr(options, name) is not None}
    noise = options.noise
    noisy = options.noise_scale is not None and options.noise_scale > 0
    if noise is None:
        noise = "gaussian" if noisy else "minibatch" if loss.finite_sum and options.B is not None else "none"
        if noise == "minibatch" and options.method == "em":
            noise = "difference"
    require(not (noise == "none" and noisy), "noise", "a noise beside --noise-scale above 0", "none", "gaussian")
    exact = noise == "none"
    require(not exact or options.B is None, "B", "no batch size without noise", options.B, "--noise gaussian or no --B")
    if "noise_scale" in loss.parameters and options.noise_scale is None and exact:
        given["noise_scale"] = 0.0
    free = "alphas" not in loss.parameters and options.data is None
    dim = DIM if options.dim is None and free else options.dim
    if dim is not None:
        check_count("dim", dim, 2, str(DIM))
    names = ("constraint", "method", "N", "substeps", "starts", "iterations", "seed", "threads")
    shared = {name: getattr(options, name) for name in names}
    problem = Problem(loss, dim=dim, **given)
    spectrum = problem.parameters["spectrum"] if "spectrum" in given and options.data is None else ()
    expected = f"no more values than dimensions ({dim})"
    require(dim is None or len(spectrum) <= dim, "spectrum", expected, len(spectrum), f"--dim {len(spectrum)}")
    return Setting(problem=problem, noise=noise, B=options.B or 1, **shared)


def _main(args: Sequence[str] | None) -> int:
    options: Any = parse(Options, "sde-si sphere", args)
    rates = read_rates(options.effective_lr)
    if options.B is not None:
        check_count("B", options.B, advice="1")
    setting = setting_of(options)
    exact = setting.noise == "none" and setting.method == "sgd"
    from sde_si.simulate.store import Store, announce_compilation
    from sde_si.sphere import report
    from sde_si.sphere.survey import sweep
    from sde_si.terminal import Progress, say

    Store(Path(options.out), 1).check_writable()
    work = float(setting.starts * setting.iterations * len(rates))
    dim = setting.run(1.0).arrays.dim
    if work * dim * EACH > LONG:
        # a step of a large dimension takes longer than progress is silent
        about = f"{work:.2g} iterations of dimension {dim}: about {work * dim * EACH / 3600:.2g} h of processor time"
        say(f"sphere: {about}; fewer --iterations, --starts or a smaller --dim take less", options.quiet)
    shared = {field: getattr(setting, field) for field in setting.__dataclass_fields__ if field != "problem"}
    with Progress("sphere", work, options.quiet) as progress:
        announce_compilation(options.quiet)
        found = sweep(
            setting.problem, rates, threshold=exact and not options.no_threshold, progress=progress.advance,
            out=options.out, fresh=options.fresh, quiet=options.quiet, **shared,
        )  # fmt: skip
    figure = None
    if not options.no_figure:
        from sde_si.sphere.figures import save_figure

        figure = save_figure(found, Path(options.out))
    if options.json:
        emit(report.to_json(found, figure, Path(options.out)))
    else:
        report.print_table(found, figure, Path(options.out))
    return DONE
