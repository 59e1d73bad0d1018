"""The adapters: with the real packages where they are installed, with the least that they need where not."""

from __future__ import annotations

import sys
import types
import warnings

import pytest

torch = pytest.importorskip("torch")

from sde_si.monitor import AngularMonitor, lightning_callback, trainer_callback  # noqa: E402


def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.LayerNorm(8), torch.nn.Linear(8, 2))


@pytest.fixture
def fakes(monkeypatch):
    pytorch = types.ModuleType("lightning.pytorch")
    pytorch.Callback = type("Callback", (), {})
    lightning = types.ModuleType("lightning")
    lightning.pytorch = pytorch
    transformers = types.ModuleType("transformers")
    transformers.TrainerCallback = type("TrainerCallback", (), {})
    for module in (lightning, pytorch, transformers):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def steps(model, optimizer, count):
    for _ in range(count):
        optimizer.zero_grad()
        model(torch.randn(8, 6)).square().mean().backward()
        optimizer.step()


class Wrapped(torch.optim.Optimizer):
    """What accelerate hands to callbacks: an optimizer around the optimizer."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    def step(self):
        self.optimizer.step()

    def zero_grad(self):
        self.optimizer.zero_grad()

    @property
    def param_groups(self):
        return self.optimizer.param_groups


def test_trainer_callback_with_a_fake(fakes):
    model = net()
    optimizer = Wrapped(torch.optim.AdamW(model.parameters()))
    callback = trainer_callback(groups=["0.weight"], every=1, quiet=True)
    callback.on_train_begin(None, None, None, model=model, optimizer=optimizer, tokenizer=None)
    for _ in range(2):
        steps(model, optimizer, 10)
        callback.on_epoch_end(None, None, None)
    callback.on_train_end(None, None, None)
    steps(model, optimizer, 5)
    assert callback.monitor.step == 20
    assert callback.monitor.record()["steps_per_epoch"].values.tolist() == [10, 10]


def test_lightning_callback_with_a_fake(fakes):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = types.SimpleNamespace(optimizers=[optimizer])
    callback = lightning_callback(groups=["0.weight"], quiet=True)
    assert callback.state_dict() == {}
    callback.on_train_start(trainer, model)
    steps(model, optimizer, 20)
    callback.on_train_epoch_end(trainer, model)
    state = callback.state_dict()
    callback.on_exception(trainer, model, RuntimeError())
    again = lightning_callback(groups=["0.weight"], quiet=True)
    again.load_state_dict(state)
    again.on_train_start(trainer, model)
    steps(model, optimizer, 20)
    again.on_train_epoch_end(trainer, model)
    again.on_train_end(trainer, model)
    assert again.monitor.step == 40
    assert again.monitor.record()["epoch"].values.tolist() == [1, 2]


def test_with_lightning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        L = pytest.importorskip("lightning.pytorch")

        class Module(L.LightningModule):
            def __init__(self):
                super().__init__()
                self.net = net()

            def training_step(self, batch, _):
                return self.net(batch[0]).square().mean()

            def configure_optimizers(self):
                return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)

        data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(64, 6)), batch_size=8)
        callback = lightning_callback(groups=["net.0.weight"], every=1, quiet=True)
        options = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        trainer = L.Trainer(
            max_epochs=3, callbacks=[callback], default_root_dir=tmp_path, gradient_clip_val=0.1, **options
        )
        trainer.fit(Module(), data)
        assert isinstance(callback.monitor, AngularMonitor)
        assert callback.monitor.step == 24
        assert callback.monitor.record()["steps_per_epoch"].values.tolist() == [8, 8, 8]
        [checkpoint] = tmp_path.rglob("*.ckpt")
        again = lightning_callback(groups=["net.0.weight"], every=1, quiet=True)
        trainer = L.Trainer(max_epochs=4, callbacks=[again], default_root_dir=tmp_path, **options)
        trainer.fit(Module(), data, ckpt_path=checkpoint)
        assert again.monitor.step == 32


def test_with_transformers(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers")
        pytest.importorskip("accelerate")

        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.net = net()

            def forward(self, x):
                return {"loss": self.net(x).square().mean()}

        callback = trainer_callback(groups=["net.0.weight"], every=1, quiet=True)
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path), num_train_epochs=2, per_device_train_batch_size=8, report_to=[], use_cpu=True,
            save_strategy="no", disable_tqdm=True,
        )  # fmt: skip
        data = [{"x": torch.randn(6)} for _ in range(64)]
        transformers.Trainer(Model(), arguments, train_dataset=data, callbacks=[callback]).train()
        assert callback.monitor.step == 16
        assert callback.monitor.record()["steps_per_epoch"].values.tolist() == [8, 8]
