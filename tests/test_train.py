"""The trainer: optimizers against torch, exact identities on real networks."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

import small_training  # noqa: E402
from small_training import HP, small_job, trained  # noqa: E402

from validation.train import ends  # noqa: E402
from validation.train.loop import Trainer  # noqa: E402
from validation.train.optimizers import OPTIMIZERS, Setting  # noqa: E402

images = small_training.images

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


def test_a_fixed_effective_learning_rate_keeps_the_sphere(images):
    hp = HP.replace(wd=0.0, momentum=0.0)
    total = trained(small_job(hp, effective_lr=1e-2), images, (0, 1)).results()
    np.testing.assert_allclose(total["weight_norm"][..., -1], total["initial"][0, -1] * np.ones((2, 3)), rtol=1e-12)
    assert np.ptp(total["weight_norm"][0, :, 0]) > 1e-6
    groups = trained(small_job(hp, effective_lr=1e-2, constraint="groups"), images).results()
    np.testing.assert_allclose(groups["weight_norm"], groups["initial"][:, None].repeat(3, 1), rtol=1e-12)


def test_a_step_of_svag_is_that_of_its_combined_gradients(images):
    """l substeps of lr/l, each with c1 g + c2 g' of two minibatches, c = (1 +- sqrt(2 l - 1))/2 (theory.md 4.1)."""
    job = small_job(HP.replace(momentum=0.0, N=160, epochs=1), sampling="replacement", svag=4)
    one, other = (Trainer(job, images, [0]) for _ in range(2))
    n, lr, wd = int(one.timetable.steps[0]), float(HP.lr), float(HP.wd)
    order, x = other.orders(0, HP.B, n * 8), other.stack.x
    root = math.sqrt(7)
    for k in range(n):
        for part in range(4):
            (g, _), (h, _) = (other.gradients(order, 8 * k + 2 * part + i) for i in (0, 1))
            x.sub_(lr / 4 * (g * (1 + root) / 2 + h * (1 - root) / 2 + wd * x))
    one.run_epoch()
    assert float((one.stack.x - x).norm() / x.norm()) < 1e-12


def test_adam_without_eps_leaves_padding_alone(images):
    hp = HP.replace(eps=0.0, lr=1e-3)
    got = trained(small_job(hp, optimizer="adam"), images).results()
    assert (got["dead"] == -1).all()
    assert np.isfinite(got["weight_norm"]).all()


def test_a_batch_larger_than_the_calibration(images, monkeypatch):
    monkeypatch.setattr(ends, "_CALIBRATION", 4)
    assert np.isfinite(trained(small_job(), images).results()["test_accuracy"][:, -1]).all()


def test_the_split_knows_no_projection(images):
    got = trained(small_job(HP.replace(wd=0.0, momentum=0.0), effective_lr=1e-2), images).results()
    assert np.isnan(got["split_drift"]).all()
