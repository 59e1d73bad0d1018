"""Thin adapters: the monitor as a callback of Lightning and of Hugging Face's Trainer. Neither is a dependency."""

from __future__ import annotations

from typing import Any

from sde_si.monitor.core import AngularMonitor


def lightning_callback(optimizer: int = 0, **options: Any) -> Any:
    """Callback for ``lightning.pytorch.Trainer``; the monitor is its ``monitor`` from the start of a fit.

    Parameters
    ----------
    optimizer : int
        Which of the module's optimizers.
    **options
        As `AngularMonitor` takes them. Epochs are those of the trainer; checkpoints carry the monitor's state.
    """
    try:
        from lightning.pytorch import Callback  # pyright: ignore[reportMissingImports]
    except ImportError:
        from pytorch_lightning import Callback  # pyright: ignore[reportMissingImports]

    class AngularMonitorCallback(Callback):
        """Attach at the start of a fit, count its epochs, detach at its end."""

        monitor: AngularMonitor | None = None
        _state: dict[str, Any] | None = None

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            self.monitor = AngularMonitor(pl_module, trainer.optimizers[optimizer], **options)
            if self._state is not None:
                self.monitor.load_state_dict(self._state)
                self._state = None

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
            if self.monitor is not None:
                self.monitor.epoch()

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
            if self.monitor is not None:
                self.monitor.remove()

        def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:  # noqa: ARG002
            if self.monitor is not None:
                self.monitor.remove()

        def state_dict(self) -> dict[str, Any]:
            return {} if self.monitor is None else self.monitor.state_dict()

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            self._state = state_dict or None

    return AngularMonitorCallback()


def trainer_callback(**options: Any) -> Any:
    """Callback for Hugging Face's ``Trainer``; the monitor is its ``monitor`` from the start of training.

    Parameters
    ----------
    **options
        As `AngularMonitor` takes them. Epochs are those of the trainer.
    """
    from transformers import TrainerCallback  # pyright: ignore[reportMissingImports]

    class AngularMonitorCallback(TrainerCallback):
        """Attach when training begins, count its epochs, detach when it ends."""

        monitor: AngularMonitor | None = None

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
            self.monitor = AngularMonitor(kwargs["model"], kwargs["optimizer"], **options)

        def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
            if self.monitor is not None:
                self.monitor.epoch()

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
            if self.monitor is not None:
                self.monitor.remove()

    return AngularMonitorCallback()
