"""The same SDE in other packages: isotropic noise with weight decay, Euler steps of one optimizer step, float64.

Each maker takes (paths, dim, steps, kind of noise) and returns a function without arguments that runs all steps once,
compiled already, with the package's default threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

LR, WD = 0.1, 5e-3
Runner = Callable[[], Any]


def numpy_vectorised(paths: int, dim: int, steps: int, kind: str) -> Runner:
    """All paths at once in NumPy."""
    rng = np.random.default_rng(0)

    def run() -> Any:
        x = np.full((paths, dim), dim**-0.5)
        for _ in range(steps):
            if kind == "gaussian":
                w = rng.standard_normal((paths, dim))
            else:
                w = 2.0 * rng.integers(0, 2, (paths, dim), dtype=np.int8) - 1.0
            R = np.einsum("pd,pd->p", x, x)[:, None]
            along = np.einsum("pd,pd->p", x, w)[:, None]
            x = (1 - LR * WD) * x + LR / np.sqrt(R) * (w - along / R * x)
        return x

    return run


def jax_scan(paths: int, dim: int, steps: int, kind: str) -> Runner:
    """One jitted jax scan over the steps."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    draw = jax.random.normal if kind == "gaussian" else jax.random.rademacher

    def step(x: Any, key: Any) -> Any:
        w = draw(key, (paths, dim), dtype=jnp.float64)
        R = jnp.sum(x * x, axis=1, keepdims=True)
        noise = LR / jnp.sqrt(R) * (w - jnp.sum(x * w, axis=1, keepdims=True) / R * x)
        return (1 - LR * WD) * x + noise, None

    @jax.jit
    def all_steps(key: Any) -> Any:
        start = jnp.full((paths, dim), dim**-0.5)
        return jax.lax.scan(step, start, jax.random.split(key, steps))[0]

    return lambda: all_steps(jax.random.key(0)).block_until_ready()


def diffrax_euler(paths: int, dim: int, steps: int, kind: str) -> Runner:
    """Vmapped diffrax Euler with the unsafe (cheapest) Brownian path; it has Gaussian increments only."""
    import diffrax
    import jax
    import jax.numpy as jnp
    import lineax

    jax.config.update("jax_enable_x64", True)

    def drift(_t: Any, y: Any, _args: Any) -> Any:
        return -WD * y

    def diffusion(_t: Any, y: Any, _args: Any) -> Any:
        R = jnp.sum(y * y)
        scale = jnp.sqrt(LR / R)

        def apply(w: Any) -> Any:
            return scale * (w - jnp.dot(y, w) / R * y)

        return lineax.FunctionLinearOperator(apply, jax.ShapeDtypeStruct((dim,), jnp.float64))

    def one(key: Any) -> Any:
        path = diffrax.UnsafeBrownianPath(shape=(dim,), key=key)
        terms = diffrax.MultiTerm(diffrax.ODETerm(drift), diffrax.ControlTerm(diffusion, path))
        solution = diffrax.diffeqsolve(
            terms, diffrax.Euler(), 0.0, steps * LR, dt0=LR, y0=jnp.full(dim, dim**-0.5),
            saveat=diffrax.SaveAt(t1=True), adjoint=diffrax.ForwardMode(), max_steps=steps + 2,
        )  # fmt: skip
        return solution.ys[0]

    solve = jax.jit(jax.vmap(one))
    keys = jax.random.split(jax.random.key(0), paths)
    return lambda: solve(keys).block_until_ready()


def torchsde_euler(paths: int, dim: int, steps: int, kind: str) -> Runner:
    """Torchsde Euler with its own Brownian interval.

    Its diffusion must be a matrix for noise that mixes coordinates, so the ambient noise is left unprojected
    (diagonal): less work than the others do.
    """
    import torch
    import torchsde

    class System(torch.nn.Module):
        noise_type, sde_type = "diagonal", "ito"

        def f(self, _t: Any, y: Any) -> Any:
            return -WD * y

        def g(self, _t: Any, y: Any) -> Any:
            return (LR / (y * y).sum(1, keepdim=True)).sqrt().expand_as(y)

    system, start = System(), torch.full((paths, dim), dim**-0.5, dtype=torch.float64)
    times = torch.tensor([0.0, steps * LR], dtype=torch.float64)

    def run() -> Any:
        with torch.no_grad():
            return torchsde.sdeint(system, start, times, method="euler", dt=LR)

    return run


PEERS: dict[str, tuple[Callable[..., Runner], bool]] = {
    # name -> (maker, whether it has random signs)
    "diffrax": (diffrax_euler, False),
    "jax scan": (jax_scan, True),
    "numpy": (numpy_vectorised, True),
    "torchsde": (torchsde_euler, False),
}
