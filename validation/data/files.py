"""Image files on disk, refused unless their content is what was published; nothing in them is ever run as code.

One exception: no digests are published of CIFAR-10's unpacked binary files, only of their archive. Of the files alone
the sizes and all labels are checked, and a changed pixel stays unseen.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from sde_si.errors import BadInput, DiskProblem

Array = np.ndarray
FASHION = Path("/usr/share/datasets/fashion-mnist")
# SHA-256 of the decompressed files
FASHION_FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
# MD5 of the python version, as its authors publish them
CIFAR_FILES = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
# MD5 of the binary version's archive, as its authors publish it
CIFAR_ARCHIVE, CIFAR_ARCHIVE_DIGEST = "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"
CIFAR_RECORD, CIFAR_BATCH, CIFAR_CLASSES = 1 + 3 * 32 * 32, 10_000, 10


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DiskProblem(f"cannot read {path}: {error.strerror or error}") from error


def _published(content: bytes, path: Path, digest: str, algorithm: str) -> bytes:
    """The content, which is refused if its digest is another."""
    if hashlib.new(algorithm, content, usedforsecurity=False).hexdigest() != digest:
        raise DiskProblem(f"{path} is damaged: its {algorithm} is not the published one; fetch it again")
    return content


def read_published(path: Path, digest: str, algorithm: str = "sha256") -> bytes:
    """Content of a file, decompressed if its name ends in ``.gz``, with the published digest.

    Raises
    ------
    DiskProblem
        If it cannot be read, or its content is another.
    """
    content = _read(path)
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DiskProblem(f"{path} is damaged ({error}); fetch it again") from error
    return _published(content, path, digest, algorithm)


def fashion_mnist(folder: Path | None) -> tuple[Array, Array, Array, Array]:
    """Fashion-MNIST: images (n, 1, 28, 28) and labels (n,) of the training and the test set, uint8.

    Parameters
    ----------
    folder : Path or None
        With the four idx files, gzipped or not; None: where Debian's package dataset-fashion-mnist puts them.

    Raises
    ------
    BadInput
        If a file is missing.
    DiskProblem
        If one is damaged.
    """
    folder = folder or FASHION
    arrays = []
    for name, digest in FASHION_FILES.items():
        path = next((p for p in (folder / f"{name}.gz", folder / name) if p.exists()), None)
        if path is None:
            advice = "--data-dir FOLDER, or Debian's package dataset-fashion-mnist"
            raise BadInput("data_dir", f"a folder with {name}.gz", folder, advice)
        content = np.frombuffer(read_published(path, digest), np.uint8)
        # The digest is right, so the header is: 16 bytes before images, 8 before labels.
        arrays.append(content[16:].reshape(-1, 1, 28, 28) if "images" in name else content[8:])
    return arrays[0], arrays[1], arrays[2], arrays[3]


class _Plain(pickle.Unpickler):
    """Rebuilds arrays and nothing else."""

    ALLOWED = {  # noqa: RUF012
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    }

    def find_class(self, module: str, name: str) -> Any:
        """Refuse every name that an array does not need."""
        if (module, name) not in self.ALLOWED:
            msg = f"{module}.{name} is no part of an image file"
            raise pickle.UnpicklingError(msg)
        if name == "_reconstruct":
            return np.ndarray(0).__reduce__()[0]
        return super().find_class(module, name)


def cifar10(folder: Path) -> tuple[Array, Array, Array, Array]:
    """CIFAR-10 from a user's folder: images (n, 3, 32, 32) and labels (n,), uint8.

    The first of these that is there:

    - ``cifar-10-binary.tar.gz`` as published, opened only after its digest matches;
    - the files of the binary version (``data_batch_1.bin``), of which no digests are published: their sizes are
      checked, and their labels, of which every class has as many as published. *A changed pixel is not found*;
    - the files of the python version (``data_batch_1``), opened only after their digests match.

    Raises
    ------
    BadInput
        If files are missing.
    DiskProblem
        If one is damaged.
    """
    archive = folder / CIFAR_ARCHIVE
    packed = _cifar_archive(archive) if archive.exists() else {}
    parts = []
    for name, digest in CIFAR_FILES.items():
        binary, python = folder / f"{name}.bin", folder / name
        if packed:
            parts.append(_cifar_binary(packed[name], archive))
        elif binary.exists():
            parts.append(_cifar_binary(_read(binary), binary))
        elif python.exists():
            parts.append(_cifar_python(python, digest))
        else:
            raise BadInput(
                "data_dir", f"the folder of CIFAR-10, with {name}.bin or {name}", folder, "--data-dir FOLDER"
            )
    images, labels = (np.concatenate([part[i] for part in parts[:-1]]) for i in (0, 1))
    for one, where in ((labels, "training"), (parts[-1][1], "test")):
        counts = np.bincount(one, minlength=CIFAR_CLASSES)
        if counts.min() != counts.max():
            raise DiskProblem(
                f"the {where} files in {folder} are damaged: they have {counts.min()} to {counts.max()} images of a "
                f"class, published were as many of each; fetch them again"
            )
    return images, labels, *parts[-1]


def _cifar_archive(path: Path) -> dict[str, bytes]:
    """Contents of the binary version's files; none is written to disk."""
    content = _published(_read(path), path, CIFAR_ARCHIVE_DIGEST, "md5")
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        for name in CIFAR_FILES:
            member = archive.extractfile(f"cifar-10-batches-bin/{name}.bin")
            assert member is not None  # the digest is right, so it is a file
            found[name] = member.read()
    return found


def _cifar_binary(content: bytes, path: Path) -> tuple[Array, Array]:
    if len(content) != CIFAR_BATCH * CIFAR_RECORD:
        raise DiskProblem(f"{path} is damaged: {len(content)} bytes instead of {CIFAR_BATCH * CIFAR_RECORD}")
    rows = np.frombuffer(content, np.uint8).reshape(CIFAR_BATCH, CIFAR_RECORD)
    if rows[:, 0].max() >= CIFAR_CLASSES:
        raise DiskProblem(f"{path} is damaged: label {rows[:, 0].max()} of at most {CIFAR_CLASSES - 1}")
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0]


def _cifar_python(path: Path, digest: str) -> tuple[Array, Array]:
    content = read_published(path, digest, "md5")
    try:
        found = _Plain(io.BytesIO(content), encoding="bytes").load()
    except pickle.UnpicklingError as error:
        raise DiskProblem(f"{path} is refused: {error}") from error
    return np.asarray(found[b"data"], np.uint8).reshape(-1, 3, 32, 32), np.asarray(found[b"labels"], np.uint8)
