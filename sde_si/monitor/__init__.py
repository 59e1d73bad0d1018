"""AngularMonitor: how fast a network's scale-invariant weights turn, beside theory. Needs torch (``sde_si[torch]``)."""

from sde_si.monitor.adapters import lightning_callback, trainer_callback
from sde_si.monitor.core import AngularMonitor
from sde_si.monitor.notices import Notice
from sde_si.monitor.readings import Reading
from sde_si.monitor.sinks import tensorboard, wandb

__all__ = ["AngularMonitor", "Notice", "Reading", "lightning_callback", "tensorboard", "trainer_callback", "wandb"]
