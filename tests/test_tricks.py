"""Tricks of the trainer: each does what its paper says, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

import small_training  # noqa: E402
from small_training import HP  # noqa: E402
from small_tricks import job_of, trained  # noqa: E402

from sde_si.errors import BadInput  # noqa: E402
from sde_si.theory import lag_cosines  # noqa: E402
from sde_si.theory.optimizers import Rule, equilibrium_versine  # noqa: E402
from validation.train.loop import Trainer  # noqa: E402
from validation.train.many import forget, train  # noqa: E402
from validation.train.optimizers import OPTIMIZERS, Setting  # noqa: E402
from validation.train.outcome import predictions  # noqa: E402
from validation.train.teacher import OTHER_SEED, state_file, teach  # noqa: E402
from validation.train.tricks import Tricks  # noqa: E402

images = small_training.images


def test_label_smoothing_is_a_share_of_the_mean_loss_over_all_labels(images):
    plain, smooth = (Trainer(job_of(tricks=Tricks(label_smoothing=s)), images, [0]) for s in (0.0, 0.2))
    order = plain.orders(0, 32, 1)
    x, y = plain.batches.batch(order.indices[0, 0], order.moves[0, 0])
    logits = plain.stack.call(0)(x)
    want = 0.8 * torch.nn.functional.cross_entropy(logits, y) - 0.2 * torch.log_softmax(logits, 1).mean()
    assert float(smooth.gradients(order, 0)[1]) == pytest.approx(float(want), rel=1e-12)


def test_mixup_mixes_images_and_targets_alike(images):
    tricks = Tricks(mixup=0.4)
    trainer = Trainer(job_of(tricks=tricks), images, [0, 1])
    order = trainer.orders(0, 32, 4)
    assert ((order.mix >= 0) & (order.mix <= 1)).all()
    assert len(set(order.mix.flatten().tolist())) == 8
    x = torch.arange(12.0).reshape(2, 3, 1, 1, 2)
    y = torch.tensor([[0, 1, 2], [2, 2, 0]])
    mixed, targets = tricks.mix(x, y, torch.tensor([0.75, 1.0]), 3)
    torch.testing.assert_close(mixed[0, 1], 0.75 * x[0, 1] + 0.25 * x[0, 0])
    torch.testing.assert_close(targets[0, 1], torch.tensor([0.25, 0.75, 0.0]))
    torch.testing.assert_close(mixed[1], x[1])
    np.testing.assert_allclose(Tricks(mixup=0.4).mixed([0], (3, 0), 5), Tricks(mixup=0.4).mixed([0], (3, 0), 9)[:, :5])


def test_clipping_shortens_long_gradients_only():
    gradient = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    clipped = Tricks(clip=1.0).gradient(gradient, gradient, 0.1, torch.zeros(2))
    torch.testing.assert_close(clipped, torch.tensor([[0.6, 0.8], [0.3, 0.4]]))


def test_clipped_steps_still_obey_the_exact_laws(images):
    """A shortened gradient is orthogonal to the weights, too (theory.md 1.11)."""
    got = trained(images, job_of(tricks=Tricks(clip=1e-3))).results()
    free = trained(images, job_of()).results()
    assert got["gradient"].mean() < 0.5 * free["gradient"].mean()
    parts = sum(got[f"split_{name}"] for name in ("decay", "velocity", "drift"))
    assert np.abs(parts - np.cos(got["angle_epoch"])).max() < 1e-9


def test_an_average_of_the_weights_changes_only_what_is_evaluated(images):
    plain, averaged = (trained(images, job_of(tricks=Tricks(ema=e))) for e in (0.0, 0.9))
    torch.testing.assert_close(plain.stack.x, averaged.stack.x, rtol=0, atol=0)
    assert not torch.allclose(averaged.average, averaged.stack.x)
    a, b = (trainer.results()["test_loss"][0, -1] for trainer in (plain, averaged))
    assert np.isfinite([a, b]).all()
    assert a != b


def test_an_average_survives_an_interruption(images, tmp_path):
    job = job_of(tricks=Tricks(ema=0.9, mixup=0.2))
    straight = trained(images, job)
    first = Trainer(job, images, [0])
    first.run_epoch()
    first.save(tmp_path / "state.pt")
    second = Trainer(job, images, [0])
    second.restore(tmp_path / "state.pt")
    while second.epoch < job.hyperparameters.epochs:
        second.run_epoch()
    assert torch.equal(second.average, straight.average)


def test_no_bias_decay_decays_weights_and_nothing_else(images):
    """Without gradients to speak of, decay is all that moves the weights."""
    network = {"network": "resnet18", "width": 4, "blocks": (1,), "ghost": 16}
    hp = HP.replace(lr=1e-6, wd=1e4, momentum=0.0, epochs=1)
    for off in (False, True):
        trainer = Trainer(job_of(hp, Tricks(no_bias_decay=off), **network), images, [0])
        before = trainer.stack.x.clone()
        trainer.run_epoch()
        views = {name: (v, w) for (name, v), w in zip(trainer.stack.layout.views(before[0]).items(),
                 trainer.stack.layout.views(trainer.stack.x[0]).values(), strict=True)}  # fmt: skip
        was, now = views["norm.weight"]
        assert float(now.norm() / was.norm()) == pytest.approx(1.0 if off else 0.99**5, abs=1e-3)
        was, now = views["stem.weight"]
        assert float(now.norm() / was.norm()) == pytest.approx(0.99**5, abs=1e-3)


def test_zero_gamma_makes_every_block_its_shortcut(images):
    network = {"network": "resnet18", "width": 4, "blocks": (1,), "ghost": 16}
    model = job_of(tricks=Tricks(zero_gamma=True), **network).build(images)
    assert all(torch.equal(block.norm2.weight, torch.zeros(4)) for block in model.stages)
    x = torch.rand(16, 4, 8, 8)
    torch.testing.assert_close(model.stages(x), x)
    with pytest.raises(BadInput, match="zero_gamma"):
        job_of(tricks=Tricks(zero_gamma=True)).build(images)


def test_nesterov_is_torchs():
    generator = torch.Generator().manual_seed(0)
    p = torch.nn.Parameter(torch.randn(40, dtype=torch.float64, generator=generator))
    x, state = p.detach().clone(), [torch.zeros(40, dtype=torch.float64)]
    theirs = torch.optim.SGD([p], 0.05, 0.9, weight_decay=0.1, nesterov=True)
    for step in range(50):
        gradient = torch.randn(40, dtype=torch.float64, generator=generator)
        p.grad = gradient.clone()
        theirs.step()
        OPTIMIZERS["nesterov"].update(x, state, gradient, Setting(0.05, 0.1, 0.9, 0.0, 0.0, step + 1))
    torch.testing.assert_close(x, p.detach(), rtol=1e-12, atol=1e-13)


def test_the_split_is_exact_with_nesterov(images):
    got = trained(images, job_of(optimizer="nesterov")).results()
    parts = sum(got[f"split_{name}"] for name in ("decay", "velocity", "drift"))
    assert np.abs(parts - np.cos(got["angle_epoch"])).max() < 1e-9


def test_nesterovs_law_is_what_noise_does():
    """Tangential noise of fixed length in many dimensions, its own equilibrium (theory.md 9.2 for this map)."""
    lr, wd, mu, dim, n = 0.1, 0.02, 0.9, 4000, 20
    rng = np.random.default_rng(5)
    x, state = torch.from_numpy(rng.standard_normal((1, dim)) / dim**0.5), [torch.zeros(1, dim, dtype=torch.float64)]
    steps = 0
    history = []
    while steps < 2600:
        z = torch.from_numpy(rng.standard_normal((1, dim)))
        z -= (z * x).sum() / (x * x).sum() * x
        OPTIMIZERS["nesterov"].update(x, state, z / z.norm() / x.norm(), Setting(lr, wd, mu, 0.0, 0.0, steps + 1))
        steps += 1
        if steps > 600:
            history.append(x.clone())
    rule, plain = Rule("nesterov", lr, wd, mu), lag_cosines(n, lr * wd, mu)
    said = {lag: 1 - equilibrium_versine(rule, lag) for lag in (1, n)}
    for lag, exact in ((1, 0.01), (n, 0.04)):
        pairs = zip(history, history[lag:], strict=False)
        versine = 1 - np.mean([float((a * b).sum() / a.norm() / b.norm()) for a, b in pairs])
        assert versine == pytest.approx(1 - said[lag], rel=exact)
    # At long lags it is heavy ball's law, over one step it is not.
    assert abs(1 - plain[1] - (1 - said[1])) > 0.05 * (1 - said[1])
    job = job_of(HP.replace(epochs=200), optimizer="nesterov")
    assert predictions(job)["angle_step"].value == pytest.approx(np.sqrt(2 * (1 - said[1])), rel=1e-3)


@pytest.mark.parametrize("momentum", [pytest.param(0.0, marks=pytest.mark.slow), 0.9])
def test_rescaled_weights_turn_as_at_the_new_equilibrium_at_once(momentum, images):
    """Angle per step falls by sqrt(drop) with rescaling, by drop without (theory.md 6.5)."""
    hp = HP.replace(momentum=momentum, lr=1.0 - momentum, wd=0.02, epochs=40, schedule="multi-step:36")
    found = {}
    for rescale in (False, True):
        angles = trained(images, job_of(hp, rescale=rescale, sampling="replacement")).results()["angle_step"][0, :, -1]
        found[rescale] = angles[36] / angles[30:36].mean()
    # The noise changes, too, when lr falls: a ratio of two runs is free of that.
    assert found[True] / found[False] == pytest.approx(10**0.5, rel=0.15)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("label_smoothing", {"tricks": {"label_smoothing": 1.0}}),
        ("mixup", {"tricks": {"mixup": -1.0}}),
        ("clip", {"tricks": {"clip": 0.0}}),
        ("ema", {"tricks": {"ema": 1.5}}),
        ("no_bias_decay", {"tricks": {"no_bias_decay": True}, "optimizer": "sgdw"}),
        ("mixup", {"tricks": {"mixup": 0.2}, "curvature": 1}),
        ("rescale", {"rescale": True, "optimizer": "adamw"}),
        ("norm", {"norm": "nonsense"}),
    ],
)
def test_wrong_tricks_are_refused(name, change):
    more = dict(change)
    with pytest.raises(BadInput) as caught:
        job_of(tricks=Tricks(**more.pop("tricks", {})), **more)
    assert caught.value.name == name


def test_distillation_mixes_the_targets_of_a_trained_teacher(images, tmp_path):
    tricks = Tricks(distillation=0.3)
    job = job_of(tricks=tricks)
    teacher = teach(job, images, [0, 7], tmp_path / "state.pt", lambda _: None)
    alone = trained(images, job_of(), seed=OTHER_SEED)
    torch.testing.assert_close(teacher.x[:1], alone.stack.x, rtol=1e-9, atol=1e-12)
    trainer = Trainer(job, images, [0, 7], teacher)
    order = trainer.orders(0, 32, 1)
    for p in range(2):
        x, y = trainer.batches.batch(order.indices[p, 0], order.moves[p, 0])
        student, wise = torch.log_softmax(trainer.stack.call(p)(x), 1), torch.softmax(teacher.call(p)(x), 1)
        want = -0.7 * student.gather(1, y[:, None]).mean() - 0.3 * (wise * student).sum(1).mean()
        assert float(trainer.gradients(order, 0)[1][p]) == pytest.approx(float(want), rel=1e-10)


def test_a_student_and_its_teacher_survive_an_interruption(images, tmp_path):
    """Killed after the first epoch of the teacher, and after the first of the student."""
    job = job_of(tricks=Tricks(distillation=0.5))
    (tmp_path / "straight").mkdir()
    straight, *_ = train(job, images, tmp_path / "straight", "0" * 64, stack=1, resume=False, progress=lambda _: None)
    forget(tmp_path / "straight", "0" * 64)  # the teacher's, too
    assert list((tmp_path / "straight").iterdir()) == []
    file = tmp_path / "state-train-000000000000-0-1.pt"
    begun = Trainer(job.replace(tricks=Tricks(), noise_batches=0), images, [OTHER_SEED])
    begun.run_epoch()
    begun.save(state_file(file))
    teacher = teach(job, images, [0], file, lambda _: None)
    student = Trainer(job, images, [0], teacher)
    student.run_epoch()
    student.save(file)
    resumed, *_ = train(job, images, tmp_path, "0" * 64, stack=1, resume=True, progress=lambda _: None)
    for name, values in straight.items():
        np.testing.assert_array_equal(values, resumed[name])


@pytest.mark.parametrize("trick", ["mixup", "distillation"])
def test_probes_of_the_plain_loss_refuse_another_target(trick):
    for probe in ({"curvature": 1}, {"response": 1, "lags": (1, 2)}):
        with pytest.raises(BadInput, match=trick):
            job_of(tricks=Tricks(**{trick: 0.2}), **probe)
