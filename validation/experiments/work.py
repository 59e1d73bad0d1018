"""From a cell and a seed to a run of the sweep engine: one training, its own file, resumable in the middle."""

from __future__ import annotations

import functools
import importlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_si.hyperparameters import HyperParameters
from sde_si.sweep.job import Job as Run
from validation.experiments.base import Cell
from validation.experiments.setups import hyperparameters, seconds

if TYPE_CHECKING:
    import xarray as xr

    from validation.data import Images
    from validation.train.job import Job

STATES = "states"  # folder, inside that of the runs, from which interrupted trainings go on


def name_of(cell: Cell, seed: int) -> str:
    """File of the run."""
    return f"train-{cell.settings.get('optimizer', 'sgd')}-{cell.digest(seed)[:12]}.nc"


def run_of(cell: Cell, seed: int, folder: Path, *, device: str, data_dir: str | None) -> Run:
    """The run of one seed, for `sde_si.sweep.dispatch.Dispatcher`."""
    settings, digest = {**cell.settings, "seed": seed}, cell.digest(seed)
    return Run(
        name_of(cell, seed),
        digest,
        functools.partial(make, settings, digest, str(folder / STATES), device, data_dir),
        point={**cell.settings, "seed": seed},
        ready=_import_torch,
        cost=functools.partial(seconds, cell.settings),
    )


def _import_torch() -> None:
    """What takes seconds in a new process."""
    importlib.import_module("torch").set_num_threads(1)
    importlib.import_module("validation.train.many")


def job_of(settings: Mapping[str, Any], *, device: str, data_dir: str | None) -> Job:
    """The checked training that these settings describe.

    Raises
    ------
    BadInput
    """
    from validation.train.job import Job

    own = {name: value for name, value in settings.items() if name not in HyperParameters.__dataclass_fields__}
    place = Path(data_dir) if data_dir and settings["data"] != "digits" else None
    return Job.of({**own, "device": device, "data_dir": place}, hyperparameters(settings))


@functools.lru_cache(maxsize=4)
def _images(data: str, data_dir: Path | None, N: int, size: int | None, seed: int) -> Images:
    from validation.data import load

    return load(data, folder=data_dir, N=N, size=size, seed=seed)


def images_of(job: Job) -> Images:
    """Its data: a subset of N samples that the seed chooses, like everything else of a run."""
    return _images(job.data, job.data_dir, job.hyperparameters.N, job.image_size, job.seed)


def make(settings: Mapping[str, Any], digest: str, states: str, device: str, data_dir: str | None) -> xr.Dataset:
    """Train, going on from a saved state if there is one; a training that diverged is a record, too."""
    import torch

    from validation.train.many import forget, train
    from validation.train.outcome import record

    begin, worked = time.perf_counter(), time.process_time()
    job = job_of(settings, device=device, data_dir=data_dir)
    images = images_of(job)
    own = job.digest(images)  # of sources and data, too: a state of other code is not gone on from
    results, names, how = train(job, images, Path(states), own, stack=1, resume=True, progress=lambda _: None)
    forget(Path(states), own)
    where = torch.cuda.get_device_name() if job.device == "cuda" else "cpu"
    made = {
        "seconds": time.perf_counter() - begin,
        "cpu_seconds": time.process_time() - worked,
        "torch": torch.__version__,
        "torch_device": where,
        **how,
    }
    return record(job, results, names, digest, trainer=own, processor=processor(), **made)


@functools.cache
def processor() -> str:
    """Class of the machine: its processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return "unknown"
