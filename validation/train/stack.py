"""K networks of one architecture with their weights in one array, trained one after another or all at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

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
    moving : sequence of str
        Buffers that the network itself changes while it trains; not of many side by side.
    smoothing : float
        Share of the target that goes to all labels alike.
    """

    def __init__(
        self, make: Callable[[], nn.Module], seeds: Iterable[int], *, device: torch.device, dtype: torch.dtype,
        groups: Callable[[nn.Module], dict[str, list[str]]] = scale_invariant_groups, half: bool = False,
        compiled: bool = False, smoothing: float = 0.0, moving: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.device, self.dtype, self.half = device, dtype, half
        self.smoothing, self.moving = smoothing, tuple(moving)
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
        # Convolutions of one network are fastest so on an accelerator and where they are compiled. Stacked ones become
        # convolutions by groups, whose channels vmap orders.
        fast = (compiled or device.type != "cpu") and any(isinstance(part, nn.Conv2d) for part in self.model.modules())
        self.format = torch.channels_last if fast else None
        one, many = self._loss_of_one, torch.func.vmap(torch.func.grad_and_value(self._loss_of_many))
        # The whole is compiled: a compiled function inside vmap would be run as it is, without a word.
        self._one, self._many = (torch.compile(each) for each in (one, many)) if compiled else (one, many)
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
        with self.measuring():
            return torch.stack([self.call(path)(images[path]) for path in range(self.paths)])

    def call(self, path: int, x: Tensor | None = None) -> Callable[[Tensor], Tensor]:
        """The network of one path, with its own weights or those of `x` (path, size), as a function of images."""
        weights = self._views((self.x if x is None else x)[path]) | self.buffers[path]
        return lambda images: torch.func.functional_call(self.model, weights, (self._placed(images),))

    def _placed(self, tensor: Tensor) -> Tensor:
        """Images, or weights of a convolution, in the memory format of this stack; the same values."""
        if self.format is None or tensor.ndim != 4:
            return tensor
        return tensor.contiguous(memory_format=self.format)

    def _views(self, x: Tensor) -> dict[str, Tensor]:
        return {name: self._placed(weight) for name, weight in self.layout.views(x).items()}

    def _loss_of_one(self, x: Tensor, buffers: dict[str, Tensor], images: Tensor, labels: Tensor) -> Tensor:
        return self._loss(self._views(x), buffers, self._placed(images), labels)

    def _loss_of_many(self, x: Tensor, buffers: dict[str, Tensor], images: Tensor, labels: Tensor) -> Tensor:
        return self._loss(self.layout.views(x), buffers, images, labels)

    def _loss(
        self, weights: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor, labels: Tensor
    ) -> Tensor:  # fmt: skip
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            logits = torch.func.functional_call(self.model, weights | buffers, (images,))
        return F.cross_entropy(logits.to(self.dtype), labels, label_smoothing=self.smoothing)

    def loss(self, x: Tensor, path: int, images: Tensor, labels: Tensor) -> Tensor:
        """Loss of one network with other weights x (size,)."""
        return self._loss_of_one(x, self.buffers[path], images, labels)

    @contextlib.contextmanager
    def measuring(self) -> Iterator[None]:
        """Inside, running statistics may change; afterwards they are what they were before."""
        before = self.moved()
        try:
            yield
        finally:
            self.move(before)

    def moved(self) -> list[dict[str, Tensor]]:
        """A copy of the buffers that the networks have changed themselves, of each path."""
        return [{name: of_path[name].clone() for name in self.moving} for of_path in self.buffers]

    def move(self, values: list[dict[str, Tensor]]) -> None:
        """Put such a copy back."""
        for of_path, value in zip(self.buffers, values, strict=True):
            for name in self.moving:
                of_path[name].copy_(value[name])

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
