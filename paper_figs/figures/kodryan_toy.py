"""Three regimes on the sphere: Kodryan et al.'s toy of three groups at fixed effective learning rates.

Below a threshold training converges, above it the loss settles at a level that depends on the effective learning rate,
far above it is that of random directions. The threshold of the total effective learning rate is the harmonic sum of those
of the groups, 1/sum(alpha).
"""

from typing import Any

import numpy as np

from paper_figs import style
from paper_figs.scripts import Drawn, Records
from sde_si import Problem, regimes, sphere
from sde_si.sphere import laws

SOURCE = "Kodryan et al. 2022, sec. 3.2, fig. 1 in kind; theory.md 5.2-5.4"
ALPHAS, STARTS, ITERATIONS = (1.0, 2.0, 4.0), 16, 20_000
RATES = tuple(float(f"{v:.4g}") for v in np.geomspace(0.03, 30, 25))
SHOWN = (0, 4, 5, 6, 8, 10, 15, 24)  # effective LRs with curves
MARKS = {regimes.CONVERGENCE: "o", regimes.EQUILIBRIUM: "s", regimes.DIVERGENCE: "^", regimes.UNDECIDED: "x"}


def configuration() -> dict[str, Any]:
    """What decides the numbers."""
    return {"alphas": ALPHAS, "starts": STARTS, "iterations": ITERATIONS, "rates": RATES, "seed": 0}


def measure() -> Any:
    """Loss, gradient norm, individual rates and regime at every effective learning rate; the threshold."""
    import xarray as xr

    found = sphere.sweep(Problem("groups", alphas=ALPHAS), RATES, starts=STARTS, iterations=ITERATIONS)
    times = found.points[0].course.iterations
    some = np.unique(np.geomspace(1, times.size, 150).astype(int) - 1)
    curves = {
        name: (
            ("cell", "sample"),
            np.array([_geometric(getattr(p.course, name)[:, some]) for p in found.points], np.float32),
        )
        for name in ("loss", "gradient_norm")
    }
    levels = {
        name: ("cell", np.array([getattr(p, name) for p in found.points])) for name in ("loss_mean", "loss_stderr")
    }
    each = {"individual_lr": (("cell", "group"), np.array([p.individual_lr[1] for p in found.points]))}
    names = {"effective_lr": ("cell", np.array(RATES)), "regime": ("cell", np.array([p.regime.name for p in found.points])),
             "iteration": ("sample", times[some].astype(np.int32))}  # fmt: skip
    threshold = {
        "threshold": float(found.threshold_measured or np.nan),
        "threshold_stderr": float(found.threshold_stderr or np.nan),
    }
    return xr.Dataset(curves | levels | each, names, threshold)


def _geometric(values: np.ndarray) -> np.ndarray:
    return np.exp(np.log(np.maximum(values, 1e-18)).mean(axis=0))


def draw(records: Records) -> Drawn:
    """Loss over time, phase diagram, level with the three regimes, individual effective learning rates."""
    from matplotlib import colormaps

    record = records["simulated"]
    setting = sphere.Setting(problem=Problem("groups", alphas=ALPHAS))
    figure, axes = style.panels(2, 2, width=4.4, height=3.2)
    shades = np.linspace(0.85, 0.0, len(SHOWN))
    for shade, k in zip(shades, SHOWN, strict=True):
        cell = record.isel(cell=k)
        kept = (cell["loss"].values > 1e-12) & (cell["gradient_norm"].values > 1e-12)
        line = {"color": colormaps["viridis"](shade), "lw": 1.1}
        axes[0].loglog(cell["iteration"], cell["loss"], label=f"{float(cell['effective_lr']):.2g}", **line)
        axes[1].loglog(
            cell["gradient_norm"][kept], cell["loss"][kept], MARKS[str(cell["regime"].values)], ms=2.5, **line
        )
        axes[1].loglog(cell["gradient_norm"][:1], cell["loss"][:1], "*", ms=9, mec="k", mew=0.4, zorder=4, **line)
    axes[0].legend(title="effective LR", ncols=2, fontsize=7, title_fontsize="small", loc="center right")
    rates = record["effective_lr"].values
    for name, mark in MARKS.items():
        which = record["regime"].values == name
        if which.any():
            axes[2].errorbar(rates[which], record["loss_mean"][which], record["loss_stderr"][which], fmt=mark, ms=4.5,
                             color="0.2", mfc="white" if name == regimes.EQUILIBRIUM else "0.2", label=name)  # fmt: skip
    fine = np.geomspace(rates[0], rates[-1], 300)
    style.exact(axes[2], fine, [laws.mean_loss(setting, float(rate)) for rate in fine], label="(Σα - 1/η)/2")
    style.paper(axes[2], [rates[0], rates[-1]], [laws.random_loss(setting)] * 2, label="random directions", zorder=0)
    for axis in axes[2:]:
        axis.axvline(1 / sum(ALPHAS), color="0.3", ls=":", lw=1.1, label="threshold 1/Σα")
    for i, alpha in enumerate(ALPHAS):
        style.measured(axes[3], rates, record["individual_lr"].values[:, i] * alpha, i=i, label=f"α = {alpha:g}")
    style.exact(axes[3], fine, fine * sum(ALPHAS), color="0.3", label="η Σα (equal steps)")
    axes[0].set(xlabel="iteration", ylabel="loss", ylim=(1e-12, 10), title="loss over time")
    axes[1].set(
        xlabel="effective gradient norm", ylabel="loss", ylim=(1e-12, 10), title="phase diagram, * = first sample"
    )
    axes[2].set(
        xscale="log", xlabel="total effective LR η", ylabel="time-mean loss", title="three regimes", ylim=(-0.2, 4.6)
    )
    axes[3].set(xscale="log", yscale="log", xlabel="total effective LR η", ylabel="α × individual effective LR",
                title="self-equalisation (harmonic means)")  # fmt: skip
    axes[2].legend(loc="lower right", fontsize=7)
    axes[3].legend(loc="upper left", fontsize=7)
    measured, error = record.attrs["threshold"], record.attrs["threshold_stderr"]
    seen = (f"threshold measured at {measured:.6f} ± {error:.0e}, predicted 1/Σα = {1 / sum(ALPHAS):.6f}. Above it the level is "
            "(Σα - 1/η)/2 as long as all groups share one two-cycle, and scatters about it in chaos. The toy's third regime is "
            "a smooth saturation at the loss of random directions, no divergence.")  # fmt: skip
    return Drawn(figure, seen)
