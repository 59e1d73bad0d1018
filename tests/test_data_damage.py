"""Damaged image files: which are refused, of how many truncated or bit-flipped ones, and which cannot be."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest

pytest.importorskip("torch")

from sde_si.errors import DiskProblem
from validation.data import files

BATCH = 50
slow = pytest.mark.slow


def _damages(content, count, seed):
    """`content` truncated, or with one bit flipped; each with where: a place, or None for truncated."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        place = int(rng.integers(len(content)))
        if i % 2:
            yield content[:place], None
        else:
            flipped = bytearray(content)
            flipped[place] ^= 1 << int(rng.integers(8))
            yield bytes(flipped), place


def _accepted(folder):
    try:
        return files.cifar10(folder)
    except DiskProblem:
        return None


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("t10k-labels-idx1-ubyte", 1000),
        ("t10k-images-idx3-ubyte", 20),
        pytest.param("train-labels-idx1-ubyte", 1000, marks=slow),
        pytest.param("t10k-images-idx3-ubyte", 1000, marks=slow),
    ],
)
def test_no_damaged_file_of_fashion_mnist_is_accepted(name, count, tmp_path, seed):
    source, digest = files.FASHION / f"{name}.gz", files.FASHION_FILES[name]
    if not source.exists():
        pytest.skip("Debian's dataset-fashion-mnist is not installed")
    content, path = source.read_bytes(), tmp_path / source.name
    path.write_bytes(content)
    whole = files.read_published(path, digest)
    refused = 0
    for damaged, _ in _damages(content, count, seed):
        path.write_bytes(damaged)
        try:
            accepted = files.read_published(path, digest)
        except DiskProblem:
            refused += 1
        else:
            # A flipped bit in gzip's own header (name, time) changes no content.
            assert accepted == whole
    assert refused >= 0.97 * count


@pytest.fixture
def rows(monkeypatch):
    """Six files' records, shortened, each with as many images of every class."""
    monkeypatch.setattr(files, "CIFAR_BATCH", BATCH)
    rows = np.random.default_rng(0).integers(0, 256, (BATCH, files.CIFAR_RECORD), dtype=np.uint8)
    rows[:, 0] = np.arange(BATCH) % 10
    return rows


def test_no_damaged_file_of_the_python_version_is_accepted(tmp_path, monkeypatch, seed, rows):
    """Nor opened: what a damaged pickle would do is not tried."""
    content = pickle.dumps({b"data": rows[:, 1:], b"labels": rows[:, 0].tolist()}, protocol=2)
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    for name in files.CIFAR_FILES:
        monkeypatch.setitem(files.CIFAR_FILES, name, digest)
        (tmp_path / name).write_bytes(content)
    assert _accepted(tmp_path) is not None

    def opened(*_, **__):
        raise AssertionError

    monkeypatch.setattr(files, "_Plain", opened)
    path = tmp_path / "data_batch_1"  # the first one read: no other is opened before it
    for damaged, _ in _damages(content, 1000, seed):
        path.write_bytes(damaged)
        assert _accepted(tmp_path) is None


def test_no_damaged_archive_of_the_binary_version_is_accepted(tmp_path, monkeypatch, seed, rows):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in files.CIFAR_FILES:
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            member.size = rows.nbytes
            archive.addfile(member, io.BytesIO(rows.tobytes()))
    content, path = packed.getvalue(), tmp_path / files.CIFAR_ARCHIVE
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    monkeypatch.setattr(files, "CIFAR_ARCHIVE_DIGEST", digest)
    path.write_bytes(content)
    assert _accepted(tmp_path) is not None
    for damaged, _ in _damages(content, 300, seed):
        path.write_bytes(damaged)
        assert _accepted(tmp_path) is None
    assert list(tmp_path.iterdir()) == [path], "nothing is unpacked"


def test_of_the_binary_files_alone_all_damage_but_that_of_pixels_is_found(tmp_path, seed, rows):
    """Size and labels are checked, and there is nothing that a pixel could be checked by."""
    content = rows.tobytes()
    for name in files.CIFAR_FILES:
        (tmp_path / f"{name}.bin").write_bytes(content)
    for name in ("data_batch_2", "test_batch"):
        path, pixels = tmp_path / f"{name}.bin", 0
        for damaged, place in _damages(content, 400, seed):
            path.write_bytes(damaged)
            of_a_pixel = place is not None and place % files.CIFAR_RECORD != 0
            assert (_accepted(tmp_path) is not None) == of_a_pixel
            pixels += of_a_pixel
        assert pixels > 100
        for record in range(BATCH):
            for bit in range(8):
                damaged = bytearray(content)
                damaged[record * files.CIFAR_RECORD] ^= 1 << bit
                path.write_bytes(damaged)
                assert _accepted(tmp_path) is None, "a label"
        path.write_bytes(content)
        assert _accepted(tmp_path) is not None
