"""The curvature that the gradient noise sees: Lanczos quadrature from batch-noise vectors (theory.md 18.3)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray
PRODUCTS, VECTORS, HESSIAN_BATCHES = 40, 2, 32  # Hessian-vector products a vector; noise vectors; minibatches


def lanczos(product: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> tuple[Array, Array]:
    """Nodes and weights with sum_i weight_i f(node_i) ~ <s, f(H) s>, s = start/|start|.

    Parameters
    ----------
    product : callable
        ``product(v)`` gives H v for a symmetric H.
    start : Tensor, shape (size,)
    steps : int
        Products at most; fewer if the vectors span an invariant subspace before.

    Returns
    -------
    nodes, weights : ndarray
        The weights sum to 1. Exact for polynomials of degree 2 steps - 1. All nan if a product is not finite.
    """
    unknown = np.full(1, np.nan), np.full(1, np.nan)
    basis = [start.double() / start.double().norm()]
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(steps):
        v = basis[-1]
        w = product(v).double()
        if not bool(torch.isfinite(w).all()):  # no eigenvalues of such a matrix, nor any sense in going on
            return unknown
        diagonal.append(float(v @ w))
        # Against all of them, twice: three-term recurrences lose orthogonality.
        for _ in range(2):
            matrix = torch.stack(basis)
            w = w - matrix.T @ (matrix @ w)
        size = float(w.norm())
        if size <= 1e-10 * max(map(abs, diagonal)) or len(diagonal) == steps:
            break
        beside.append(size)
        basis.append(w / size)
    matrix = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    nodes, vectors = np.linalg.eigh(matrix)
    return nodes, vectors[0] ** 2


def noise_spectrum(
    loss: Callable[[Tensor, int], Tensor],
    x: Tensor,
    batches: int = HESSIAN_BATCHES,
    *,
    vectors: int = VECTORS,
    products: int = PRODUCTS,
) -> tuple[Array, Array]:
    """Curvatures of the mean loss and how much of the minibatch noise lies along each.

    Parameters
    ----------
    loss : callable
        ``loss(x, i)``: of minibatch number i below batches + vectors, twice differentiable in x.
    x : Tensor, shape (size,)
    batches : int
        Minibatches whose mean is the mean loss.
    vectors : int
        Noise vectors: gradients of the minibatches after those, minus the mean gradient. A minibatch's own Hessian is
        large along its own gradient, so the two must not share minibatches.
    products : int
        Hessian-vector products a vector.

    Returns
    -------
    nodes, weights : ndarray, shape (vectors * products,)
        Short ones are filled up with weight 0; the weights sum to 1. All nan if a gradient or product is not finite.
    """
    x = x.detach().requires_grad_()
    gradients = [torch.autograd.grad(loss(x, i), x)[0].double() for i in range(batches + vectors)]
    mean = torch.stack(gradients[:batches]).mean(0)

    def product(v: Tensor) -> Tensor:
        total = torch.zeros_like(v)
        for i in range(batches):
            (gradient,) = torch.autograd.grad(loss(x, i), x, create_graph=True)
            total += torch.autograd.grad(gradient, x, v.to(x.dtype))[0].double()
        return total / batches

    out = np.zeros((2, vectors, products))
    for i in range(vectors):
        nodes, weights = lanczos(product, gradients[batches + i] - mean, products)
        if np.isnan(nodes).any():
            return np.full(out[0].size, np.nan), np.full(out[1].size, np.nan)
        out[0, i, : nodes.size], out[1, i, : nodes.size] = nodes, weights / vectors
    return out[0].ravel(), out[1].ravel()
