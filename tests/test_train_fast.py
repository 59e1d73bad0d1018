"""The fast modes on a CPU: bfloat16, torch.compile, the memory format, the trial of stacking."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

import small_training  # noqa: E402
from small_training import HP, small_job, trained  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from sde_si.errors import BadInput  # noqa: E402
from sde_si.record import load  # noqa: E402
from validation.networks.layers import SIConv2d  # noqa: E402
from validation.train import many  # noqa: E402
from validation.train.cli import main  # noqa: E402
from validation.train.loop import Trainer  # noqa: E402
from validation.train.outcome import record  # noqa: E402

images = small_training.images
pytestmark = pytest.mark.usefixtures("one_thread")
plain = F.conv2d
CONV = {"network": "si-convnet", "width": 8, "blocks": (2,), "precision": "fp32", "norm_eps": 1e-5}


@pytest.fixture
def captured(monkeypatch):
    """torch.compile as it captures and guards, without the minutes of its code generator."""
    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    yield
    torch.compiler.reset()


def test_bf16_computes_in_bfloat16_and_keeps_its_weights_in_float32(images):
    job = small_job(HP.replace(epochs=2), **CONV)
    full, half = (trained(job.replace(precision=kind), images, (0, 1)) for kind in ("fp32", "bf16"))
    assert half.stack.x.dtype == torch.float32
    assert not torch.equal(half.stack.x, half.stack.x.bfloat16().float()), "weights are not rounded"
    apart = (half.stack.x - full.stack.x).norm() / full.stack.x.norm()
    assert 1e-3 < float(apart) < 0.3, "the mode rounds what is computed"
    for name in ("angle_step", "weight_norm"):
        one, other = (t.results()[name][:, 0, -1] for t in (half, full))
        np.testing.assert_allclose(one, other, rtol=0.03, err_msg=name)


@pytest.mark.slow
def test_bf16_turns_as_fp32_does(images):
    """Angular statistics of the second half of a training, seed by seed, within their errors."""
    job = small_job(HP.replace(epochs=24), **CONV, augment=("flip", "shift"), sampling="replacement", noise_batches=0)
    full, half = (trained(job.replace(precision=kind), images, range(6)).results() for kind in ("fp32", "bf16"))
    for name in ("angle_step", "angle_epoch", "weight_norm"):
        one, other = (found[name][:, 12:, -1].mean(1) for found in (full, half))
        change = other / one - 1
        error = change.std(ddof=1) / change.size**0.5
        assert error < 0.02, name
        assert abs(change.mean()) < 3 * error, name


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_a_schedule_compiles_nothing_anew(seeds, captured, images):
    """lr is no part of what is compiled: one graph for every step of every epoch, and for other seeds, too."""
    from torch._dynamo.utils import counters

    counters.clear()
    job = small_job(HP.replace(schedule="cosine"), **CONV, augment=("flip",))
    eager, compiled = trained(job, images, seeds), trained(job.replace(compile=True), images, seeds)
    trained(job.replace(compile=True), images, [seed + 7 for seed in seeds])
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]
    assert len({rate for e in range(3) for rate in compiled.timetable.lr_and_momentum(e)[0]}) > 10
    for name in ("weight_norm", "angle_step", "angle_epoch", "train_loss"):
        np.testing.assert_allclose(compiled.results()[name], eager.results()[name], rtol=1e-3, err_msg=name)


def test_convolutions_get_their_channels_last_where_that_is_fast(captured, images, monkeypatch):
    """With --compile (and on an accelerator); on a CPU without it nothing is moved about."""
    seen = []
    plain = SIConv2d._conv_forward

    def watched(self, x, weight, bias):
        seen.append([t.is_contiguous(memory_format=torch.channels_last) for t in (x, weight)])
        return plain(self, x, weight, bias)

    monkeypatch.setattr(SIConv2d, "_conv_forward", watched)
    # three channels: of a single one both formats are the same
    color = dataclasses.replace(images, train=np.repeat(images.train, 3, 1), test=np.repeat(images.test, 3, 1))
    for compiled in (False, True):
        trainer = Trainer(small_job(**CONV, compile=compiled), color, [0])
        seen.clear()
        trainer.stack.loss(trainer.stack.x[0], 0, *trainer.batches.batch(torch.arange(8), torch.zeros(8, 3, dtype=int)))
        assert len(seen) == 2
        assert {last for pair in seen for last in pair} == {compiled}
    assert Trainer(small_job(compile=True), images, [0]).stack.format is None, "no convolution in a perceptron"


def test_compilation_is_in_digest_and_provenance_where_it_is_on(captured, images, tmp_path, capsys):
    eager = small_job(**CONV)
    assert "compile" not in eager.configuration(), "digests of records from before stay"
    assert eager.digest(images) != eager.replace(compile=True).digest(images)
    words = "--network si-mlp --width 8 --blocks 2 --data digits --N 160 --B 32 --epochs 1 --quiet --no-figure --json"
    words, reused, made = [*words.split(), "--out", str(tmp_path)], [], []
    for more in ([], ["--compile"], ["--compile"]):
        assert main([*words, *more]) == 0
        found = json.loads(capsys.readouterr().out)
        reused.append(found["reused"])
        made.append(json.loads(load(found["record"]).attrs["provenance"]))
    assert reused == [False, False, True]
    assert [one["compile"] for one in made] == [False, True, True]
    assert {one["torch_device"] for one in made} == {"cpu"}
    trainer = trained(eager, images)
    kept = record(eager, trainer.results(), trainer.stack.layout.names, "0" * 64)
    assert json.loads(kept.attrs["provenance"])["torch_device"] == "cpu"


@pytest.mark.parametrize(("memory", "want"), [(16, 16), (9, 8), (3, 2), (1, 1)])
def test_the_trial_takes_as_many_networks_as_find_memory(memory, want, images, monkeypatch):
    """Out of memory is raised as torch does; the clock says that stacks are free."""
    tried, plain = [], Trainer.gradients
    clock = iter(range(1000))

    def gradients(self, order, at):
        tried.append(self.stack.paths)
        if self.stack.paths > memory:
            raise torch.OutOfMemoryError
        return plain(self, order, at)

    monkeypatch.setattr(Trainer, "gradients", gradients)
    monkeypatch.setattr(many, "_now", lambda _: float(next(clock)))
    assert many.best_stack(small_job(HP.replace(epochs=1)), images, 16) == want
    assert max(tried) == 16
    assert [many._tried("cuda", 16, 1), many._tried("cpu", 16, 1), many._tried("cpu", 16, 4)] == [16, 8, 4]


def test_a_stack_that_is_slower_is_not_taken(images, monkeypatch):
    for single, together, want in ((1.0, 0.8, 16), (1.0, 0.95, 1)):
        took = {1: single, 16: together}
        monkeypatch.setattr(many, "_seconds_a_network", lambda *given, took=took: took[given[-1]])
        assert many.best_stack(small_job(), images, 16) == want


def test_a_training_without_memory_goes_on_with_half_the_stack(images, tmp_path, monkeypatch):
    """The trial fits, the measurements of the first epoch do not; a stack that was asked for is not changed."""
    job, one_epoch = small_job(HP.replace(epochs=2), seeds=6), Trainer.run_epoch
    want = many.train(job, images, tmp_path, "w" * 64, stack=2, resume=False, progress=print)

    def run_epoch(self):
        one_epoch(self)
        if self.stack.paths > 2:
            raise torch.OutOfMemoryError

    monkeypatch.setattr(Trainer, "run_epoch", run_epoch)
    monkeypatch.setattr(many, "best_stack", lambda *_: 6)
    monkeypatch.setattr(many, "usable_cores", lambda: 1)
    found = many.train(job, images, tmp_path, "d" * 64, stack=None, resume=False, progress=lambda _: None)
    assert found[2] == {"processes": 1, "stack": 2}
    np.testing.assert_array_equal(found[0]["weight_norm"], want[0]["weight_norm"])
    assert {file.stem[-1] for file in many.states(tmp_path, "d" * 64)} <= {"2"}
    with pytest.raises(torch.OutOfMemoryError):
        many.train(job, images, tmp_path, "e" * 64, stack=6, resume=False, progress=lambda _: None)


NARROW = """
import torch
from torch.nn import functional as F
from validation.networks import build
torch.set_num_threads(1)
torch.manual_seed(0)
model = build("si-resnet18", channels=1, size=8, classes=10, width=4, blocks=(1, 1), ghost=16)
for _ in range(60):
    F.cross_entropy(model(torch.randn(32, 1, 8, 8)), torch.zeros(32, dtype=int)).backward()
print("fine")
"""


@pytest.mark.slow
def test_narrow_strided_convolutions_do_not_write_beyond_their_memory():
    """torch 2.13 on a CPU aborts or goes on with spoilt numbers (1x1, stride 2, fewer than 8 channels, lying last)."""
    found = subprocess.run([sys.executable, "-c", NARROW], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "fine\n"), found.stderr


def test_narrow_strided_convolutions_are_others_of_the_same_value(monkeypatch):
    """What torch is asked for has no stride then."""
    asked = []
    monkeypatch.setattr(F, "conv2d", lambda *given: asked.append(given[3:4]) or plain(*given))
    for inputs, bare in ((3, True), (7, True), (8, False)):
        layer, x = SIConv2d(inputs, 5, 1, 2), torch.randn(2, inputs, 7, 7).to(memory_format=torch.channels_last)
        torch.testing.assert_close(layer(x), plain(x.contiguous(), layer.weight, None, 2))
        assert asked.pop() == (() if bare else ((2, 2),))


def test_ghost_batches_with_a_rest_are_not_compiled(images):
    """torch 2.13 makes code for a CPU that gives gradients of nan there."""
    for ghost, compiled, fits in ((12, True, False), (12, False, True), (16, True, True), (64, True, True)):
        job = small_job(**CONV, ghost=ghost, compile=compiled)
        with contextlib.nullcontext() if fits else pytest.raises(BadInput, match="a divisor of the batch size 32"):
            job.check(images)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning")  # torch's own code generator
@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_compiled_code_gives_what_eager_code_does(seeds, images):
    """By torch's own code generator; ghost batches, an affine norm, running over a change of lr."""
    for options in (
        CONV | {"ghost": 16},
        {"network": "resnet18", "width": 8, "blocks": (1, 1), "precision": "fp32", "norm_eps": 1e-5},
    ):
        job = small_job(HP.replace(epochs=2, schedule="cosine"), **options)
        eager, compiled = (trained(one, images, seeds) for one in (job, job.replace(compile=True)))
        for name, values in eager.results().items():
            np.testing.assert_allclose(compiled.results()[name], values, rtol=2e-3, atol=1e-4, err_msg=name)
