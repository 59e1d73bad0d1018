"""Images for real networks: loaded, checked, cut to N, and turned in the step; to add a set, write it in `DATASETS`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sde_si.errors import require, require_known
from validation.data.batches import AUGMENTATIONS, Batches, order
from validation.data.files import cifar10, fashion_mnist
from validation.data.synthetic import synthetic

Array = np.ndarray


@dataclass(frozen=True)
class Images:
    """A training and a test set.

    Attributes
    ----------
    train, test : ndarray of uint8
        Shape (n, channels, size, size).
    train_labels, test_labels : ndarray of uint8
        Shape (n,).
    """

    train: Array
    train_labels: Array
    test: Array
    test_labels: Array

    @property
    def classes(self) -> int:
        """Number of labels."""
        return int(max(self.train_labels.max(), self.test_labels.max())) + 1

    def digest(self) -> str:
        """SHA-256 of everything."""
        state = hashlib.sha256()
        for array in (self.train, self.train_labels, self.test, self.test_labels):
            state.update(str(array.shape).encode())
            state.update(np.ascontiguousarray(array).data)
        return state.hexdigest()


@dataclass(frozen=True)
class Dataset:
    """Where images come from.

    Attributes
    ----------
    summary : str
    load : callable
        ``load(folder, seed, N)`` gives (train, labels, test, labels); `folder` is the user's or None. A set that is
        made, not read, may give only `N` training samples, as many of each class.
    reads_folder, needs_folder : bool
        Whether it reads files, and whether from the user's folder only.
    """

    summary: str
    load: Callable[[Path | None, int, int | None], tuple[Array, Array, Array, Array]]
    reads_folder: bool = False
    needs_folder: bool = False


def _digits(folder: Path | None, seed: int, N: int | None) -> tuple[Array, Array, Array, Array]:
    """Every fifth digit is for testing."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images = np.round(found.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = found.target.astype(np.uint8)
    test = np.arange(labels.size) % 5 == 4
    return images[~test], labels[~test], images[test], labels[test]


DATASETS: dict[str, Dataset] = {
    "digits": Dataset("1797 handwritten digits of 8x8 pixels, from scikit-learn", _digits),
    "fashion-mnist": Dataset(
        "70,000 clothes of 28x28 pixels, from Debian's dataset-fashion-mnist or --data-dir",
        lambda folder, seed, N: fashion_mnist(folder),
        reads_folder=True,
    ),
    "cifar10": Dataset(
        "60,000 photographs of 32x32 pixels, from --data-dir",
        lambda folder, seed, N: cifar10(folder),  # pyright: ignore[reportArgumentType]
        reads_folder=True,
        needs_folder=True,
    ),
    "synthetic": Dataset(
        "60,000 textured pictures of 32x32 pixels, from a seed",
        lambda folder, seed, N: synthetic(seed, min(N or 50_000, 50_000)),
    ),
}


def resized(images: Array, size: int) -> Array:
    """Images averaged or padded with zeros to `size` pixels a side.

    Raises
    ------
    BadInput
        If `size` is below the images' own and does not divide it.
    """
    own = images.shape[-1]
    if size == own:
        return images
    if size > own:
        low = (size - own) // 2
        high = size - own - low
        return np.pad(images, ((0, 0), (0, 0), (low, high), (low, high)))
    require(own % size == 0, "image_size", f"a divisor of {own}, or more than {own} (padded)", size, str(own // 2))
    by = own // size
    shape = (*images.shape[:2], size, by, size, by)
    return np.round(images.reshape(shape).mean((3, 5), dtype=np.float64)).astype(np.uint8)


def balanced(labels: Array, N: int, seed: int) -> Array:
    """Indices of N samples, as many of each class as can be, chosen by `seed`.

    The N smaller of two subsets of one seed is part of the larger one.
    """
    rng = np.random.default_rng([seed, 11])
    shuffled = rng.permutation(labels.size)
    rank = np.empty(labels.size, np.int64)
    for label in np.unique(labels):
        mine = shuffled[labels[shuffled] == label]
        rank[mine] = np.arange(mine.size)
    # By rank within the class first: any prefix is balanced.
    return np.lexsort((labels, rank))[:N]


def load(
    name: str, *, folder: Path | str | None = None, N: int | None = None, size: int | None = None, seed: int = 0
) -> Images:
    """Images of a data set.

    Parameters
    ----------
    name : str
        A name in `DATASETS`.
    folder : Path, optional
        Of the files.
    N : int, optional
        Samples of a class-balanced training subset, chosen by `seed`.
    size : int, optional
        Pixels a side: averaged or padded.

    Raises
    ------
    BadInput, DiskProblem
        If an argument is wrong; if a file is missing or damaged.
    """
    require_known("data", name, DATASETS)
    entry = DATASETS[name]
    require(not entry.needs_folder or folder is not None, "data_dir", f"the folder of {name}", "none", "--data-dir DIR")
    train, labels, test, test_labels = entry.load(Path(folder) if folder else None, seed, N)
    if N is not None:
        require(
            1 <= N <= labels.size, "N", f"at most the {labels.size} training samples of {name}", N, str(labels.size)
        )
        chosen = balanced(labels, N, seed)
        train, labels = train[chosen], labels[chosen]
    own = train.shape[-1] if size is None else size
    return Images(resized(train, own), labels, resized(test, own), test_labels)


__all__ = ["AUGMENTATIONS", "DATASETS", "Batches", "Dataset", "Images", "balanced", "load", "order", "resized"]
