"""The trainer: optimizers against torch, exact identities on real networks, resuming, stacking, the command line."""

from __future__ import annotations

import contextlib
import json
import os

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from sde_si import HyperParameters  # noqa: E402
from sde_si.errors import BadInput  # noqa: E402
from validation.data import load  # noqa: E402
from validation.train import ends  # noqa: E402
from validation.train.cli import main  # noqa: E402
from validation.train.curvature import lanczos, noise_spectrum  # noqa: E402
from validation.train.job import Job  # noqa: E402
from validation.train.loop import Trainer  # noqa: E402
from validation.train.many import train  # noqa: E402
from validation.train.optimizers import OPTIMIZERS, Setting  # noqa: E402
from validation.train.response import responses  # noqa: E402

HP = HyperParameters(N=160, B=32, lr=0.1, wd=0.02, momentum=0.9, epochs=3)


def small_job(hp=HP, **options):
    defaults = {"network": "si-mlp", "width": 8, "blocks": (2,), "data": "digits", "norm_eps": 0.0}
    return Job(
        **(defaults | {"precision": "fp64", "noise_batches": 2, "evaluate_every": 2} | options), hyperparameters=hp
    )


@pytest.fixture(scope="module")
def images():
    return load("digits", N=160)


def trained(job, images, seeds=(0,)):
    trainer = Trainer(job, images, list(seeds))
    for _ in range(job.hyperparameters.epochs):
        trainer.run_epoch()
    return trainer


TORCH = {
    "sgd": lambda p, s: torch.optim.SGD([p], s.lr, s.momentum, weight_decay=s.wd),
    "adam": lambda p, s: torch.optim.Adam([p], s.lr, (s.momentum, s.beta2), s.eps, s.wd),
    "adamw": lambda p, s: torch.optim.AdamW([p], s.lr, (s.momentum, s.beta2), s.eps, s.wd),
}


@pytest.mark.parametrize("name", TORCH)
def test_optimizers_do_what_torch_does(name):
    generator = torch.Generator().manual_seed(0)
    setting = Setting(0.05, 0.1, 0.9, 0.99, 1e-8, 1)
    p = torch.nn.Parameter(torch.randn(40, dtype=torch.float64, generator=generator))
    x = p.detach().clone()
    theirs, state = TORCH[name](p, setting), [torch.zeros_like(x) for _ in range(OPTIMIZERS[name].slots)]
    for step in range(50):
        gradient = torch.randn(40, dtype=torch.float64, generator=generator)
        lr = 0.05 if step < 25 else 0.01
        theirs.param_groups[0]["lr"] = lr
        p.grad = gradient.clone()
        theirs.step()
        OPTIMIZERS[name].update(x, state, gradient, Setting(lr, 0.1, 0.9, 0.99, 1e-8, step + 1))
    torch.testing.assert_close(x, p.detach(), rtol=1e-12, atol=1e-13)


def test_displacement_form_is_torchs_while_lr_is_constant_and_with_the_buffer_rescaled_after(images):
    """v = -lr buf; when lr changes the paper's form keeps v, torch's keeps buf (theory.md 0.8)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, dtype=torch.float64, generator=generator)
    y, buf, v = x.clone(), [torch.zeros_like(x)], [torch.zeros_like(x)]
    differ = x.clone()
    plain = [torch.zeros_like(x)]
    for step in range(40):
        gradient = torch.randn(30, dtype=torch.float64, generator=generator)
        lr = 0.1 if step < 20 else 0.01
        setting = Setting(lr, 0.02, 0.9, 0.0, 0.0, step + 1)
        if step == 20:
            torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)
            buf[0] *= 0.1 / 0.01
        OPTIMIZERS["sgd"].update(x, buf, gradient, setting)
        OPTIMIZERS["sgd-displacement"].update(y, v, gradient, setting)
        OPTIMIZERS["sgd"].update(differ, plain, gradient, setting)
    torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(differ, y, rtol=1e-3)


def test_steps_telescope_exactly(images):
    """sum ln cos = n ln(1 - u) + ln(r_0/r_n) for plain SGD, whatever the network (theory.md 1.3)."""
    hp = HP.replace(momentum=0.0, wd=0.2, schedule="multi-step:2")
    got = trained(small_job(hp), images).results()
    radius = np.concatenate([got["initial"][:, None], got["weight_norm"]], 1)
    u = np.where(np.arange(3) < 2, 0.02, 0.002)[:, None]
    said = 5 * np.log1p(-u) + np.log(radius[:, :-1] / radius[:, 1:])
    assert np.abs(got["log_cos_step"][..., :-1] - said[..., :-1]).max() < 1e-10 * 5 * 0.002


@pytest.mark.parametrize("optimizer", ["sgd", "sgd-displacement", "sgdw"])
def test_the_split_of_the_cosine_is_exact(optimizer, images):
    """Decay, starting velocity and gradients add up to the cosine, through a schedule, too (theory.md 1.11)."""
    job = small_job(HP.replace(schedule="cosine"), optimizer=optimizer)
    got = trained(job, images, (0, 1)).results()
    parts = sum(got[f"split_{name}"] for name in ("decay", "velocity", "drift"))
    assert np.abs(parts - np.cos(got["angle_epoch"])).max() < 1e-9
    assert np.abs(got["split_drift"]).min() > 1e-6
    assert np.abs(got["radial_gradient"]).max() < 1e-12


def test_lags_and_epochs_measure_the_same(images):
    got = trained(small_job(lags=(1, 5, 10)), images).results()
    np.testing.assert_allclose(got["angle_lag"][:, :, 1], got["angle_epoch"], rtol=1e-12)
    assert np.isfinite(got["angle_lag"][:, 1, 2]).all()  # two epochs from the start of the second
    assert np.isnan(got["angle_lag"][:, 2, 2]).all()  # the third's would end after the run


def test_signal_and_noise_are_the_moments_of_the_gradient(images):
    """G + tau = E|g|^2 at the unit vector: the epoch-end batches against the training's own."""
    job = small_job(HP.replace(lr=1e-6, wd=0.0, epochs=2), noise_batches=40, sampling="replacement")
    got = trained(job, images, range(4)).results()
    both, own = (got["signal"] + got["noise_trace"])[:, 0].mean(0), got["gradient"].mean((0, 1))
    np.testing.assert_allclose(both, own, rtol=0.25)
    assert (got["noise_trace"] > 0).all()


def test_a_fixed_effective_learning_rate_keeps_the_sphere(images):
    hp = HP.replace(wd=0.0, momentum=0.0)
    total = trained(small_job(hp, effective_lr=1e-2), images, (0, 1)).results()
    np.testing.assert_allclose(total["weight_norm"][..., -1], total["initial"][0, -1] * np.ones((2, 3)), rtol=1e-12)
    assert np.ptp(total["weight_norm"][0, :, 0]) > 1e-6
    groups = trained(small_job(hp, effective_lr=1e-2, constraint="groups"), images).results()
    np.testing.assert_allclose(groups["weight_norm"], groups["initial"][:, None].repeat(3, 1), rtol=1e-12)


def test_svag_with_l_1_is_sgd_and_turns_less_signal_into_length_with_l_4(images):
    hp = HP.replace(momentum=0.0, N=160)
    one = trained(small_job(hp, sampling="replacement"), images).results()
    four = trained(small_job(hp, sampling="replacement", svag=4), images).results()
    assert four["angle_step"].mean() != one["angle_step"].mean()
    assert np.isfinite(four["weight_norm"]).all()


@pytest.mark.parametrize("cut", [1, 2])
def test_a_resumed_training_is_bit_identical(cut, images, tmp_path):
    job = small_job(HP.replace(epochs=4), precision="fp32", lags=(3, 12), augment=("shift",), optimizer="adamw")
    straight = trained(job, images, (0, 1))
    first = Trainer(job, images, [0, 1])
    for _ in range(cut):
        first.run_epoch()
    first.save(tmp_path / "s.pt")
    second = Trainer(job, images, [0, 1])
    second.restore(tmp_path / "s.pt")
    while second.epoch < 4:
        second.run_epoch()
    assert torch.equal(second.stack.x, straight.stack.x)
    for name, values in straight.results().items():
        np.testing.assert_array_equal(second.results()[name], values, err_msg=name)


@pytest.mark.slow
def test_a_hundred_random_cuts_leave_no_trace(images, tmp_path):
    """Killed while it trains, anywhere: what was saved before goes on to the same weights and record, bit for bit."""
    rng = np.random.default_rng(int(os.environ.get("SDE_SI_SEED", "0")))
    straight = {}
    for cut in range(100):
        name = str(rng.choice(["sgd", "adam", "lion", "sgd-displacement"]))
        hp = HP.replace(epochs=4, schedule=str(rng.choice(["constant", "cosine"])))
        options = {"optimizer": name, "precision": "fp32", "lags": (3, 12), "augment": ("flip", "shift"),
                   "sampling": str(rng.choice(["replacement", "reshuffle"]))}  # fmt: skip
        job, file = small_job(hp, **options), tmp_path / f"{cut}.pt"
        key = (name, hp.schedule, options["sampling"])
        if key not in straight:
            straight[key] = trained(job, images, (0, 1))
        left = int(rng.integers(0, 4)) * 10 + int(rng.integers(0, 10))

        def killed(done, left=left):
            nonlocal steps
            steps += done
            if steps > left:
                raise KeyboardInterrupt

        steps = 0
        first = Trainer(job, images, [0, 1])
        with contextlib.suppress(KeyboardInterrupt):
            first.run(file, killed, save_every=0.0)
        second = Trainer(job, images, [0, 1])
        if file.exists():
            second.restore(file)
        second.run(tmp_path / "end.pt", lambda _: None, save_every=1e9)
        assert torch.equal(second.stack.x, straight[key].stack.x), (cut, key, left)
        for quantity, values in straight[key].results().items():
            np.testing.assert_array_equal(second.results()[quantity], values, err_msg=f"{cut} {key} {quantity}")


def test_stacked_networks_train_as_each_by_itself(images):
    job = small_job(HP.replace(epochs=2), network="si-convnet", width=4, augment=("flip",))
    together = trained(job, images, (3, 4)).results()
    for i, seed in enumerate((3, 4)):
        alone = trained(job, images, (seed,)).results()
        for name, values in alone.items():
            np.testing.assert_allclose(together[name][i], values[0], rtol=1e-6, atol=1e-9, err_msg=name)


def test_processes_give_what_one_gives(images, tmp_path):
    job = small_job(HP.replace(epochs=1), seeds=2, precision="fp32")
    got, names, how = train(job, images, tmp_path, "0" * 64, stack=1, resume=False, progress=lambda _: None)
    assert names[-1] == "all"
    assert how["processes"] >= 1
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = trained(job, images, (1,)).results()
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_allclose(got["weight_norm"][1], alone["weight_norm"][0], rtol=1e-6)
    assert not list(tmp_path.iterdir()), "the states of finished trainings are removed"


WORDS = ["--network", "si-mlp", "--width", "8", "--blocks", "2", "--data", "digits", "--N", "160", "--B", "32"]


def test_command_line(tmp_path, capsys):
    words = [*WORDS, "--epochs", "2", "--wd", "0.02", "--out", str(tmp_path), "--quiet"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["epochs"] == 2
    assert 0 < found["final"]["test_accuracy"]["value"] <= 1
    assert found["equilibrium"]["angle_step"]["predicted"] == pytest.approx((2 * 0.002 / 1.9) ** 0.5, rel=1e-3)
    assert not found["reused"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "rms angle per step" in shown
    assert "test accuracy" in shown


def test_divergence_is_recorded_and_exits_with_3(tmp_path, capsys):
    """A network with trained scales and last layer; one that is scale-invariant to all it trains survives this."""
    words = [*WORDS, "--network", "resnet18", "--width", "4", "--blocks", "1", "--lr", "1e20", "--wd", "0"]
    assert main([*words, "--epochs", "3", "--out", str(tmp_path), "--quiet", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert found["diverged"][0]["step"] < 10


@pytest.mark.parametrize(
    "words",
    [
        ["--network", "nonsense"],
        ["--data", "nonsense"],
        ["--N", "10000"],
        ["--B", "1"],
        ["--optimizer", "nonsense"],
        ["--effective-lr", "0.01"],
        ["--svag", "2"],
        ["--augment", "nonsense"],
        ["--device", "nonsense"],
        ["--lags", "5,1"],
        ["--schedule", "nonsense"],
        ["--blocks", "2,2"],
        ["--image-size", "3"],
        ["--precision", "fp8"],
    ],
)
def test_bad_input(words, tmp_path, capsys):
    assert main([*WORDS, *words, "--out", str(tmp_path / "o"), "--quiet"]) == 2
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "o").exists()


def test_jobs_check_themselves():
    with pytest.raises(BadInput):
        small_job(seeds=0)


def test_lanczos_quadrature_is_exact_for_polynomials():
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(30, 30, dtype=torch.float64, generator=generator)
    matrix, start = root + root.T, torch.randn(30, dtype=torch.float64, generator=generator)
    unit = start / start.norm()
    nodes, weights = lanczos(lambda v: matrix @ v, start, 6)
    for power in range(12):
        want = float(unit @ torch.linalg.matrix_power(matrix, power) @ unit)
        assert np.sum(weights * nodes**power) == pytest.approx(want, rel=1e-8)
    want = float(unit @ torch.linalg.matrix_power(matrix, 12) @ unit)
    assert np.sum(weights * nodes**12) != pytest.approx(want, rel=1e-6)


def test_the_noise_spectrum_is_that_of_the_hessian(images):
    """Against the whole Hessian and covariance of a small network."""
    trainer = Trainer(small_job(width=4, blocks=(1,)), images, [0])
    order = trainer.orders(0, 32, 6)
    drawn = [trainer.batches.batch(order.indices[0, i], order.moves[0, i]) for i in range(6)]

    def loss(x, i):
        return trainer.stack.loss(x, 0, *drawn[i])

    x = trainer.stack.x[0]
    nodes, weights = noise_spectrum(loss, x, 4, vectors=2, products=30)
    whole = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(sum(loss(whole, i) for i in range(4)) / 4, whole, create_graph=True)
    trained_entries = [j for place in trainer.stack.layout.places.values() for j in range(place.start, place.stop)]
    hessian = torch.zeros(x.numel(), x.numel(), dtype=x.dtype)
    for j in trained_entries:
        (hessian[j],) = torch.autograd.grad(slope[j], whole, retain_graph=True)
    leaf = x.clone().requires_grad_()
    gradients = torch.stack([torch.autograd.grad(loss(leaf, i), leaf)[0] for i in range(6)])
    noise = gradients[4:] - gradients[:4].mean(0)
    unit = noise / noise.norm(dim=1, keepdim=True)
    for f in (lambda m: m, lambda m: m @ m):
        want = float(torch.einsum("bi,ij,bj->b", unit, f(hessian), unit).mean())
        power = 1 if f(torch.eye(1) * 2).item() == 2 else 2
        assert np.sum(weights * nodes**power) == pytest.approx(want, rel=1e-6)
    assert weights.sum() == pytest.approx(1)


def test_curvature_is_recorded_at_its_checkpoints(images, monkeypatch):
    monkeypatch.setattr(ends, "SEEN", 3)
    monkeypatch.setattr(ends, "PRODUCTS", 6)
    job = small_job(HP.replace(epochs=4), curvature=2)
    assert job.checkpoints(2) == [3, 2]
    got = trained(job, images, (0, 1)).results()
    assert got["curvature"].shape == got["curvature_weight"].shape == (2, 2, 2 * 6)
    np.testing.assert_allclose(got["curvature_weight"].sum(-1), 1)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_twins_follow_the_kick_of_their_other_minibatch(momentum):
    """On a quadratic loss: <d, h_j(H) d>/|d|^2 for the difference d of the two gradients, step by step."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(6, 6, dtype=torch.float64, generator=generator)
    H, noise = matrix @ matrix.T, torch.randn(20, 6, dtype=torch.float64, generator=generator)
    setting = Setting(0.02, 0.1, momentum, 0.0, 0.0, 1)

    def step(x, state, i):
        OPTIMIZERS["sgd"].update(x, state, H @ x + noise[i], setting)

    x = torch.randn(6, dtype=torch.float64, generator=generator)
    found, size = responses(step, x, [torch.zeros_like(x)], 15, 6, twins=3)
    kicks, before = (noise[15:18] - noise[0]).T, torch.zeros(6, 3, dtype=torch.float64)
    now, want = kicks, []
    for _ in range(15):
        want.append(float((kicks * now).sum() / (kicks * kicks).sum()))
        now, before = (1 + momentum - 0.02 * 0.1) * now - 0.02 * H @ now - momentum * before, now
    np.testing.assert_allclose(found, want, rtol=1e-10)
    assert size == pytest.approx(0.02**2 * float((kicks**2).sum()) / 6)


def test_responses_are_recorded_at_their_checkpoints(images):
    job = small_job(HP.replace(epochs=4), response=2, lags=(1, 7))
    got = trained(job, images, (0, 1)).results()
    assert got["response"].shape == (2, 2, 7)
    np.testing.assert_allclose(got["response"][:, :, 0], 1)
    assert got["kick_size"].shape == (2, 2)
    assert np.ptp(got["response"][:, :, -1]) > 0
    # They are measured beside the training, which goes on as if they were not.
    alone = trained(job.replace(response=0), images, (0, 1)).results()
    np.testing.assert_array_equal(got["angle_step"], alone["angle_step"])
    np.testing.assert_array_equal(got["signal"], alone["signal"])


@pytest.mark.parametrize(
    ("options", "about"),
    [({"response": 1}, "response"), ({"response": 1, "lags": (1,), "optimizer": "lion"}, "response")],
)
def test_responses_need_lags_and_a_linear_optimizer(options, about):
    with pytest.raises(BadInput, match=about):
        small_job(**options)


def test_a_network_makes_its_own_noise():
    with pytest.raises(BadInput, match="schedule"):
        small_job(HP.replace(schedule="noise:2"))
