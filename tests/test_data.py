"""Images: published content or nothing, balanced subsets, and batches that are functions of (seed, epoch)."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import tarfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sde_si import HyperParameters  # noqa: E402
from sde_si.errors import BadInput, DiskProblem  # noqa: E402
from validation.data import AUGMENTATIONS, Batches, balanced, files, load, order, resized  # noqa: E402
from validation.data.synthetic import synthetic  # noqa: E402
from validation.train.job import Job  # noqa: E402
from validation.train.loop import Trainer  # noqa: E402

LABELS = files.FASHION / "t10k-labels-idx1-ubyte.gz"
needs_fashion = pytest.mark.skipif(not LABELS.exists(), reason="Debian's dataset-fashion-mnist is not installed")


@needs_fashion
def test_fashion_mnist():
    found = load("fashion-mnist", N=1000, size=14)
    assert found.train.shape == (1000, 1, 14, 14)
    assert found.test.shape == (10_000, 1, 14, 14)
    assert np.bincount(found.train_labels).tolist() == [100] * 10


class _Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def _cifar(tmp_path, monkeypatch, content):
    """A folder of six files of the python version, all with this content, whose digests count as published."""
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    for name in files.CIFAR_FILES:
        (tmp_path / name).write_bytes(content)
        monkeypatch.setitem(files.CIFAR_FILES, name, digest)


def test_cifar_python_version(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    data, labels = rng.integers(0, 256, (20, 3072), dtype=np.uint8), list(range(10)) * 2
    _cifar(tmp_path, monkeypatch, pickle.dumps({b"data": data, b"labels": labels}, protocol=2))
    found = load("cifar10", folder=tmp_path)
    assert np.array_equal(found.train[:20], data.reshape(-1, 3, 32, 32))
    assert found.train_labels.size == 100
    (tmp_path / "data_batch_3").write_bytes(b"other")
    with pytest.raises(DiskProblem, match="data_batch_3 is damaged"):
        load("cifar10", folder=tmp_path)


def test_no_code_in_a_file_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _cifar(tmp_path, monkeypatch, pickle.dumps({b"data": _Evil(), b"labels": []}, protocol=2))
    with pytest.raises(DiskProblem, match="no part of an image file"):
        load("cifar10", folder=tmp_path)
    assert not (tmp_path / "evil").exists()
    assert pickle.loads(pickle.dumps(np.arange(3), protocol=2)).size == 3  # noqa: S301
    assert files._Plain(io.BytesIO(pickle.dumps(np.arange(3), protocol=2))).load().size == 3


def _rows(monkeypatch, batch=50):
    """Records of one file of the binary version, shortened, and as many of each class."""
    monkeypatch.setattr(files, "CIFAR_BATCH", batch)
    rows = np.random.default_rng(0).integers(0, 256, (batch, files.CIFAR_RECORD), dtype=np.uint8)
    rows[:, 0] = np.arange(batch) * 7 % 10
    return rows


def test_cifar_binary_version(tmp_path, monkeypatch):
    rows = _rows(monkeypatch)
    for name in files.CIFAR_FILES:
        (tmp_path / f"{name}.bin").write_bytes(rows.tobytes())
    found = load("cifar10", folder=tmp_path, N=100)
    assert found.train.shape == (100, 3, 32, 32)
    assert found.test_labels.tolist() == rows[:, 0].tolist()
    assert np.array_equal(found.test, rows[:, 1:].reshape(-1, 3, 32, 32))
    (tmp_path / "test_batch.bin").write_bytes(rows.tobytes()[:-1])
    with pytest.raises(DiskProblem, match="bytes instead of"):
        load("cifar10", folder=tmp_path)
    rows[7, 0] = 10
    (tmp_path / "test_batch.bin").write_bytes(rows.tobytes())
    with pytest.raises(DiskProblem, match="label 10"):
        load("cifar10", folder=tmp_path)
    rows[7, 0] = 8  # of 9
    (tmp_path / "test_batch.bin").write_bytes(rows.tobytes())
    with pytest.raises(DiskProblem, match=r"test files .* 4 to 6 images of a class"):
        load("cifar10", folder=tmp_path)


def test_cifar_archive(tmp_path, monkeypatch):
    """It is preferred to what lies beside it, and its digest is that of the file as it is, not unpacked."""
    rows, path = _rows(monkeypatch), tmp_path / files.CIFAR_ARCHIVE
    with tarfile.open(path, "w:gz") as archive:
        for name in files.CIFAR_FILES:
            (tmp_path / f"{name}.bin").write_bytes(rows.tobytes())
            archive.add(tmp_path / f"{name}.bin", f"cifar-10-batches-bin/{name}.bin")
            (tmp_path / f"{name}.bin").write_bytes(b"")
    with pytest.raises(DiskProblem, match="its md5 is not the published one"):
        load("cifar10", folder=tmp_path)
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(files, "CIFAR_ARCHIVE_DIGEST", digest)
    found = load("cifar10", folder=tmp_path)
    assert np.array_equal(found.test, rows[:, 1:].reshape(-1, 3, 32, 32))
    assert found.train_labels.tolist() == rows[:, 0].tolist() * 5


@pytest.mark.parametrize("N", [10, 55, 100])
def test_subsets_are_balanced_and_nested(N):
    labels = np.random.default_rng(0).integers(0, 10, 1000)
    small, large = balanced(labels, N, 5), balanced(labels, 2 * N, 5)
    counts = np.bincount(labels[small], minlength=10)
    assert counts.max() - counts.min() <= 1
    assert set(small) < set(large)
    assert set(small) != set(balanced(labels, N, 6))


def test_synthetic_pictures_depend_on_the_seed_alone_and_vary_within_a_class():
    first = synthetic(3, 60, 20)
    again, other = synthetic(3, 40, 20), synthetic(4, 60, 20)
    assert np.array_equal(first[2], again[2])
    assert not np.array_equal(first[0], other[0])
    assert first[0].shape == (60, 3, 32, 32)
    mine = first[0][first[1] == 2].astype(float)
    assert mine.std(0).mean() > 20


@pytest.mark.slow
def test_accuracy_on_synthetic_pictures_rises_with_their_number_and_does_not_saturate(one_thread, seed, capsys):
    """The same network, as many steps: what four times the pictures are worth, beyond three standard errors."""
    accuracies, steps, B = {}, 1536, 64
    for N in (256, 1024, 4096):
        images, epochs = load("synthetic", N=N, size=16), steps * B // N
        hp = HyperParameters(N=N, B=B, lr=0.02, wd=5e-4, momentum=0.9, epochs=epochs, schedule="cosine")
        job = Job(network="si-convnet", width=16, data="synthetic", hyperparameters=hp, noise_batches=0,
                  evaluate_every=epochs)  # fmt: skip
        trainer = Trainer(job, images, [seed])
        for _ in range(epochs):
            trainer.run_epoch()
        accuracies[N] = float(trainer.results()["test_accuracy"][0, -1])
    error = 0.5 / images.test_labels.size**0.5  # of one accuracy, at most
    with capsys.disabled():
        print(f"\ntest accuracy of si-convnet, width 16, on synthetic pictures at 16x16: {accuracies} +- {error}")
    few, more, most = accuracies.values()
    assert few > 0.1 + 3 * error, "it learns"
    assert more > few + 3 * 2**0.5 * error
    assert most > more + 3 * 2**0.5 * error
    assert most < 0.97


def test_images_are_averaged_or_padded():
    images = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 1, 4, 4)
    assert resized(images, 2)[0, 0].tolist() == [[2, 4], [10, 12]]  # 2.5, 4.5, ... to the even neighbour
    assert resized(images, 6).sum() == images.sum()
    with pytest.raises(BadInput):
        resized(images, 3)


def _batches(augment):
    images = np.random.default_rng(0).integers(0, 256, (50, 2, 9, 9), dtype=np.uint8)
    return images, Batches(images, np.arange(50), augment=augment, device=torch.device("cpu"), dtype=torch.float64)


@pytest.mark.parametrize("augment", [(), ("flip",), ("shift",), ("crop", "flip")])
def test_augmented_batches_are_what_a_loop_makes(augment):
    images, batches = _batches(augment)
    index = order(0, (4,), 50, 20, 2, "reshuffle")
    moves = batches.moves(0, (4,), index.shape)
    found, labels = batches.batch(torch.from_numpy(index[1]), moves[1])
    margin = sum(AUGMENTATIONS[name].margin(9) for name in augment)
    padded = np.pad(images, ((0, 0), (0, 0), (margin, margin), (margin, margin))).astype(float)
    for k, i in enumerate(index[1]):
        down, right, mirrored = moves[1, k].tolist()
        one = padded[i, :, down : down + 9, right : right + 9]
        one = one[:, :, ::-1] if mirrored else one
        scaled = (one - batches.mean.numpy()) / batches.deviation.numpy()
        np.testing.assert_allclose(found[k].numpy(), scaled, rtol=1e-12)
        assert labels[k] == i


def test_order_is_a_function_of_seed_and_epoch():
    one = order(1, (2,), 100, 30, 3, "reshuffle")
    assert np.array_equal(one, order(1, (2,), 100, 30, 3, "reshuffle"))
    assert np.unique(one).size == 90
    assert not np.array_equal(one, order(1, (3,), 100, 30, 3, "reshuffle"))
    assert not np.array_equal(one, order(2, (2,), 100, 30, 3, "reshuffle"))
    assert np.unique(order(1, (2,), 100, 30, 3, "replacement")).size < 90
    twice = order(1, (2,), 100, 30, 6, "reshuffle")
    assert np.array_equal(twice[:3], one)
    assert np.unique(twice[3:]).size == 90


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"name": "nonsense"}, BadInput),
        ({"name": "cifar10"}, BadInput),
        ({"name": "cifar10", "folder": "/nowhere"}, BadInput),
        ({"name": "fashion-mnist", "folder": "/nowhere"}, BadInput),
        ({"name": "digits", "N": 10_000}, BadInput),
        ({"name": "digits", "size": 3}, BadInput),
    ],
)
def test_bad_requests(arguments, error):
    if arguments["name"] == "digits":
        pytest.importorskip("sklearn")
    with pytest.raises(error):
        load(**arguments)
