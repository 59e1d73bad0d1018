"""K networks of one architecture with their weights in one array, trained one after another or all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sde_si.streams import DATA, generator
from validation.networks import calibrated, drawn_buffers, scale_invariant_groups
from validation.train.flat import Layout

SHARES = 2  # what the extra stream of random numbers is for


class Stack:
    """Networks with weights ``x[path, size]``.

    Parameters
    ----------
    make : callable
        ``make()`` builds a network with weights from torch's generator.
    seeds : sequence of int
        One network each.
    groups : callable, optional
        ``groups(model)`` gives the scale-invariant groups; default: as the layers declare them.
    device, dtype
    half : bool
        Compute in bfloat16 (weights stay in `dtype`).
    compiled : bool
        Use torch.compile.
    smoothing : float
        Share of the target that goes to all labels alike.
    """

    def __init__(
        self, make: Callable[[], nn.Module], seeds: Iterable[int], *, device: torch.device, dtype: torch.dtype,
        groups: Callable[[nn.Module], dict[str, list[str]]] = scale_invariant_groups, half: bool = False,
        compiled: bool = False, smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        self.device, self.half, self.smoothing = device, half, smoothing
        vectors, buffers = [], []
        for seed in seeds:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                model = make().to(dtype)
            if not vectors:
                self.layout = Layout(model, groups(model))
            vectors.append(self.layout.pack(dict(model.named_parameters()), dtype))
            buffers.append({name: b.detach().clone().to(device) for name, b in model.named_buffers()})
        self.drawn = drawn_buffers(model)
        self.model = model.to(device)
        self.x = torch.stack(vectors).to(device)
        self.buffers = buffers
        many = torch.func.vmap(torch.func.grad_and_value(self._loss))
        # The whole is compiled: a compiled function inside vmap would be run as it is, without a word.
        self._one, self._many = (torch.compile(one) for one in (self._loss, many)) if compiled else (self._loss, many)
        if device.type == "cuda" and not half:
            torch.backends.cudnn.allow_tf32 = False  # ten bits of a convolution's inputs are no single precision

    @property
    def paths(self) -> int:
        """Number of networks."""
        return self.x.shape[0]

    def shares(self, seeds: Iterable[int], key: tuple[int, ...], draws: int) -> Tensor | None:
        """What a random network draws, (path, draws, buffer, 2), from the arguments alone; None: it draws nothing."""
        if not self.drawn:
            return None
        shape = (draws, len(self.drawn), 2)
        return torch.stack([torch.from_numpy(generator(seed, DATA, *key, SHARES).random(shape)) for seed in seeds])

    def set_shares(self, shares: Tensor) -> None:
        """Put one draw (path, buffer, 2) into the networks."""
        for path, of_path in enumerate(shares.to(self.x)):
            self.buffers[path] |= dict(zip(self.drawn, of_path, strict=True))

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Logits (path, batch, classes) of images (path, batch, channels, size, size), normalised by the batch."""
        return torch.stack([self.call(path)(images[path]) for path in range(self.paths)])

    def call(self, path: int, x: Tensor | None = None) -> Callable[[Tensor], Tensor]:
        """The network of one path, with its own weights or those of `x` (path, size), as a function of images."""
        weights = self.layout.views((self.x if x is None else x)[path]) | self.buffers[path]
        return lambda images: torch.func.functional_call(self.model, weights, (images,))

    def _loss(self, x: Tensor, buffers: dict[str, Tensor], images: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            logits = torch.func.functional_call(self.model, self.layout.views(x) | buffers, (images,))
        return F.cross_entropy(logits.to(x.dtype), labels, label_smoothing=self.smoothing)

    def loss(self, x: Tensor, path: int, images: Tensor, labels: Tensor) -> Tensor:
        """Loss of one network with other weights x (size,)."""
        return self._loss(x, self.buffers[path], images, labels)

    def gradients(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients (path, size) and losses (path,) of one minibatch for each path.

        Parameters
        ----------
        images : Tensor, shape (path, batch, channels, size, size)
        labels : Tensor, shape (path, batch)
            Or shares of the labels, (path, batch, classes).
        """
        if self.paths == 1:
            x = self.x[0].detach().requires_grad_()
            loss = self._one(x, self.buffers[0], images[0], labels[0])
            (gradient,) = torch.autograd.grad(loss, x)
            return gradient[None], loss.detach()[None]
        buffers = {name: torch.stack([b[name] for b in self.buffers]) for name in self.buffers[0]}
        gradients, losses = self._many(self.x, buffers, images, labels)
        return gradients, losses

    @torch.no_grad()
    def evaluate(
        self, calibration: list[Tensor], images: Iterable[tuple[Tensor, Tensor]], weights: Tensor | None = None
    ) -> list[tuple[float, float]]:
        """Mean loss and accuracy of each path, normalised by statistics measured on `calibration`.

        With other `weights` (path, size) than its own where they are given.
        """
        chunks, out = list(images), []
        for path in range(self.paths):
            call = self.call(path, weights)
            self.model.eval()
            loss = right = count = 0.0
            with calibrated(self.model, calibration, call):
                for x, y in chunks:
                    logits = call(x).double()
                    loss += float(F.cross_entropy(logits, y, reduction="sum"))
                    right += float((logits.argmax(1) == y).sum())
                    count += y.numel()
            self.model.train()
            out.append((loss / count, right / count))
        return out
