"""What a training refuses: settings that contradict each other, and networks that do not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sde_si.errors import BadInput, require, require_known
from sde_si.hyperparameters import check_count, check_number
from sde_si.schedules import Timetable
from validation.data import AUGMENTATIONS, DATASETS
from validation.networks import NORMS, GhostNorm, drawn_buffers
from validation.networks.trial import try_batches
from validation.train.memory import memory_told
from validation.train.optimizers import OPTIMIZERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from validation.data import Images
    from validation.train.job import Job

DTYPES = {"fp64": torch.float64, "fp32": torch.float32, "bf16": torch.float32}
CONSTRAINTS = ("total", "groups")
SAMPLINGS = ("replacement", "reshuffle")
MOST = 10**7  # of epochs, and of seeds
LARGEST_SEED = 2**62  # torch takes one below 2**63, and a teacher's is larger


def check_settings(job: Job) -> None:
    """Refuse what can be told from the settings alone.

    Raises
    ------
    BadInput
    """
    hp = job.hyperparameters
    for name, value, known in (
        ("optimizer", job.optimizer, OPTIMIZERS),
        ("constraint", job.constraint, CONSTRAINTS),
        ("sampling", job.sampling, SAMPLINGS),
        ("precision", job.precision, DTYPES),
        ("data", job.data, DATASETS),
        ("norm", job.norm, NORMS),
    ):
        require_known(name, value, known)
    for name in job.augment:
        require(name in AUGMENTATIONS, "augment", f"some of {', '.join(AUGMENTATIONS)}", repr(name), "crop,flip")
    require(len(set(job.augment)) == len(job.augment), "augment", "each once", ",".join(job.augment), "crop,flip")
    check_count("epochs", hp.epochs, most=MOST)
    timetable = Timetable(hp)  # refuses a bad schedule
    for name, least, most in (
        ("seed", 0, LARGEST_SEED),
        ("seeds", 1, MOST),
        ("svag", 1, None),
        ("noise_batches", 0, None),
        ("curvature", 0, None),
        ("response", 0, None),
        ("evaluate_every", 1, None),
    ):
        check_count(name, getattr(job, name), least=least, most=most)
    for name in ("curvature", "response"):
        room = len(set(job.checkpoints(count))) if (count := getattr(job, name)) else 0
        require(room == count, name, f"at most {room} checkpoints in the second half of {hp.epochs} epochs", count,
                str(room))  # fmt: skip
    for name in ("width", "image_size"):
        if getattr(job, name) is not None:
            check_count(name, getattr(job, name))
    if job.ghost is not None:
        check_count("ghost", job.ghost, least=0)
    for count in job.blocks or ():
        check_count("blocks", count)
    check_number("norm_eps", job.norm_eps, least=0, advice="1e-5")
    for name in ("beta2", "eps"):
        users = ", ".join(other for other, entry in OPTIMIZERS.items() if name in entry.extras)
        fits = getattr(hp, name) is None or name in OPTIMIZERS[job.optimizer].extras
        require(fits, name, f"none for {job.optimizer} (only {users} has it)", getattr(hp, name))
    check_number("lr", hp.lr, above=0, below=1e30, advice="0.1")  # the range of single precision
    require(hp.B >= 2, "B", "at least 2 samples (they are normalised by each other)", hp.B, "128")
    require(list(job.lags) == sorted(set(job.lags)) and all(lag >= 1 for lag in job.lags), "lags",
            "rising whole numbers from 1 on", job.lags, "1,10,100")  # fmt: skip
    if job.effective_lr is not None:
        check_number("effective_lr", job.effective_lr, above=0, advice="1e-3")
        plain = hp.wd == 0 and hp.momentum == 0 and job.optimizer == "sgd"
        require(plain, "effective_lr", "sgd with wd 0 and momentum 0 at a fixed effective learning rate",
                f"{job.optimizer}, wd {hp.wd:g}, momentum {hp.momentum:g}", "--wd 0 --momentum 0")  # fmt: skip
        require(not job.rescale, "rescale", "none at a fixed effective learning rate: the projection keeps the length",
                "both", "--effective-lr or --rescale alone")  # fmt: skip
    fits = job.constraint == "total" or job.effective_lr is not None
    require(
        fits, "constraint", "none without effective_lr: nothing is projected", job.constraint, "--effective-lr 1e-3"
    )
    rescalable = [name for name, entry in OPTIMIZERS.items() if entry.memory_power is not None]
    fits = not job.rescale or job.optimizer in rescalable
    require(fits, "rescale", f"one of {', '.join(rescalable)} with it", job.optimizer, "--optimizer sgd")
    probed = bool(job.curvature or job.response)
    job.tricks.check(decoupled=OPTIMIZERS[job.optimizer].decoupled, probed=probed)
    if job.svag > 1:
        plain = hp.momentum == 0 and job.optimizer == "sgd" and job.sampling == "replacement"
        require(plain, "svag", "sgd without momentum, drawn with replacement", "another setting",
                "--momentum 0 --sampling replacement")  # fmt: skip
    if job.response:
        plain = job.optimizer in ("sgd", "sgd-displacement") and job.svag == 1 and job.effective_lr is None
        plain = plain and job.tricks.clip is None and not job.tricks.no_bias_decay
        require(plain and max(job.lags, default=0) > 1, "response",
                "lags beyond 1 and SGD at a free length, neither clip nor no_bias_decay",
                f"{job.optimizer}, lags {job.lags or 'none'}", "0, or --lags 1,10,100")  # fmt: skip
    require(timetable.own_noise, "schedule", "none on the noise: a network makes its own", hp.schedule, "constant")
    require(job.device in ("cpu", "cuda"), "device", "cpu, cuda or auto", repr(job.device), "cpu")
    require(job.device == "cpu" or torch.cuda.is_available(), "device", "a CUDA device", "none here", "cpu")


def unused(job: Job) -> list[str]:
    """What counts for nothing beside the other settings, in words; a sweep may give it to all its runs."""
    said = []
    if job.ghost is not None and job.norm != "batch":
        said.append(f"--ghost {job.ghost} counts for nothing with --norm {job.norm}")
    if job.data_dir is not None and not DATASETS[job.data].reads_folder:
        said.append(f"--data-dir counts for nothing with --data {job.data}: it reads no files")
    return said


def check_network(job: Job, images: Images) -> None:
    """Refuse a network that cannot be built, or does not fit the data or what is to be measured of it.

    Raises
    ------
    BadInput
    """
    steps = int(Timetable(job.hyperparameters).start[-1])  # with the data's own N
    lag = max(job.lags, default=0)
    require(lag <= steps, "lags", f"none beyond the {steps} steps of the run", lag, f"{steps}, or more epochs")
    try:
        with memory_told():
            model = job.build(images).to(job.dtype)
            try_batches(model, images.train.shape[1:], Timetable(job.hyperparameters).batch)
            invariant = job.groups(images)(model)
    except MemoryError as error:
        advice = "a smaller --width, --blocks or --image-size"
        raise BadInput("network", "one that finds memory", error, advice) from error
    require(bool(invariant), "network", "one with scale-invariant weights", f"{job.network}: none", "si-mlp")
    if job.compile:
        _check_ghosts(model, Timetable(job.hyperparameters).batch.tolist())
    fits = not ((job.curvature or job.response) and (drawn_buffers(model) or job.habits(images).random))
    require(fits, "network", "one that draws nothing at random, for curvature or response", job.network, "si-mlp")


def _check_ghosts(model: nn.Module, batches: Iterable[int]) -> None:
    """Refuse to compile ghost batches of unequal size: torch's code for a CPU gives gradients that are nan (2.13)."""
    for ghost in {part.ghost for part in model.modules() if isinstance(part, GhostNorm) and part.ghost}:
        for B in set(batches):
            fits = ghost >= B or B % ghost == 0
            require(fits, "ghost", f"a divisor of the batch size {B}, with compile", ghost, "--ghost 0")


def check_stack(job: Job, images: Images, stack: int) -> None:
    """Refuse so many networks in one array: running statistics and random layers are each network's own.

    Raises
    ------
    BadInput
    """
    check_count("stack", stack, advice="8")
    why = "" if stack == 1 else job.habits(images).alone
    require(not why, "stack", f"1 for a network with {why}", stack, "--stack 1")
