"""The trainer on CUDA: against the CPU, resumed, compiled, in bfloat16, stacked; and its record compared."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

import small_training  # noqa: E402
from small_training import HP, TRAINED, small_job, trained  # noqa: E402

from sde_si.record import load  # noqa: E402
from validation.compare.cli import main as compare  # noqa: E402
from validation.train.cli import main  # noqa: E402
from validation.train.many import train  # noqa: E402

# torch's own code generator uses what torch deprecates
pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning")]
images = small_training.images
RESNET = {"network": "si-resnet18", "width": 8, "blocks": (1, 1), "ghost": 16, "norm_eps": 1e-5, "precision": "fp32"}
STATISTICS = ("angle_step", "angle_epoch", "weight_norm")


@pytest.fixture
def exact(monkeypatch):
    """cuDNN's deterministic algorithms, chosen without timing them."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)


def assert_same_statistics(one, other):
    """Seed by seed over the second half, within the error of the mean difference, which must be small itself."""
    for name in STATISTICS:
        first, second = (found[name][:, found[name].shape[1] // 2 :, -1].mean(1) for found in (one, other))
        change = second / first - 1
        error = change.std(ddof=1) / change.size**0.5
        assert error < 0.02, name
        assert abs(change.mean()) < 3 * error + 1e-4, name


@pytest.mark.parametrize("options", [RESNET, {"network": "si-convnet", "width": 8, "blocks": (2,)}, {}])
def test_few_steps_are_those_of_the_cpu(options, images):
    """In single precision without TF32, and in double precision, where only the order of sums differs."""
    for precision, tolerance in (("fp32", 2e-4), ("fp64", 1e-9)):
        job = small_job(HP.replace(epochs=1), lags=(1, 4), augment=("flip", "shift"),
                        **options | {"precision": precision, "norm_eps": 1e-5})  # fmt: skip
        here, there = trained(job, images), trained(job.replace(device="cuda"), images)
        assert there.stack.x.is_cuda
        assert (there.stack.format is None) == (not options)
        apart = (there.stack.x.cpu() - here.stack.x).norm() / here.stack.x.norm()
        assert float(apart) < tolerance
        for name in ("angle_step", "angle_lag", "weight_norm", "gradient", "train_loss", "split_drift"):
            one, other = here.results()[name], there.results()[name]
            np.testing.assert_allclose(other, one, rtol=50 * tolerance, atol=tolerance, err_msg=name)


def test_a_resumed_training_is_bit_identical(exact, images, tmp_path):
    job = small_job(HP.replace(epochs=4), **RESNET, device="cuda", lags=(3, 12), augment=("shift",))
    small_training.assert_resumed_alike(job, images, tmp_path / "s.pt")


@pytest.mark.parametrize("fast", [{"precision": "bf16"}, {"compile": True}, {"precision": "bf16", "compile": True}])
def test_fast_modes_turn_as_fp32_does(fast, images):
    hp = HP.replace(epochs=24, schedule="constant")
    job = small_job(hp, **RESNET, device="cuda", augment=("flip", "shift"), sampling="replacement", noise_batches=0)
    seeds = range(6)
    full, other = (trained(one, images, seeds) for one in (job, job.replace(**fast)))
    assert other.stack.x.dtype == torch.float32
    assert_same_statistics(full.results(), other.results())


@pytest.mark.parametrize("fast", [{"precision": "bf16"}, {"compile": True}])
def test_fast_modes_of_a_single_network_begin_as_fp32_does(fast, images):
    """It takes another way than stacked ones do: channels last, no vmap."""
    job = small_job(HP.replace(epochs=1), **RESNET, device="cuda", noise_batches=0)
    full, other = (trained(one, images).results() for one in (job, job.replace(**fast)))
    for name in ("weight_norm", "angle_step"):
        np.testing.assert_allclose(other[name][..., -1], full[name][..., -1], rtol=0.03, err_msg=name)


def test_sixteen_networks_train_stacked_as_each_by_itself(images, tmp_path):
    job = small_job(HP.replace(epochs=1), **RESNET | {"precision": "fp64"}, device="cuda", seeds=16)
    got, names, how = train(job, images, tmp_path, "0" * 64, stack=16, resume=False, progress=lambda _: None)
    assert how == {"processes": 1, "stack": 16}
    assert names[-1] == "all"
    for seed in (0, 15):
        alone = trained(job, images, (seed,)).results()
        for name in STATISTICS:
            np.testing.assert_allclose(got[name][seed], alone[name][0], rtol=1e-6, err_msg=name)
    _, _, how = train(job, images, tmp_path, "1" * 64, stack=None, resume=False, progress=lambda _: None)
    assert how["stack"] in (1, 16), "all that find memory are tried, not some of them"


def test_its_record_is_compared(tmp_path, capsys):
    """Every identity holds, and the laws that need curvature and response are there."""
    words = [*TRAINED, "--device", "cuda", "--epochs", "30", "--seeds", "2", "--lags", "1,5,10", "--curvature", "1"]
    assert main([*words, "--response", "2", "--wd", "0.03", "--momentum", "0.9", "--out", str(tmp_path)]) == 0
    [path] = tmp_path.glob("*.nc")
    assert json.loads(load(path).attrs["provenance"])["torch_device"] == torch.cuda.get_device_name()
    capsys.readouterr()
    assert compare([str(path), "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)["records"]
    assert all(one["holds"] for one in found["identities"])
    assert len(found["laws"]) >= 4
