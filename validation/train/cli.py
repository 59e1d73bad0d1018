"""``python -m validation.train``: a network on real data, measured as a simulation is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sde_si.errors import DIVERGED, DONE
from sde_si.hyperparameters import HyperParameters
from sde_si.options import FLOAT, INT, JSON, NO_FIGURE, QUIET, TEXT, comma, flag, options_class, parse, whole
from sde_si.terminal import emit, guarded, say
from validation.train.tricks import FLAGS as TRICKS

NETWORK_NAMES = (
    "si-resnet18, resnet18, si-resnet18-d, si-resnet50, si-resnet50-b, si-shake-resnet18, si-convnet, "
    "si-preact-resnet18, si-densenet100, si-mlp, se-resnet, fixup-resnet18, timm:NAME"
)
_HP = HyperParameters()
Options = options_class(
    "Options",
    {
        "network": flag(TEXT, "si-resnet18", NETWORK_NAMES),
        "width": flag(INT, None, "channels of the first stage [default: the paper's]"),
        "blocks": flag(comma(whole, "2,2,2,2"), None, "blocks of each stage [default: the paper's]"),
        "ghost": flag(INT, None, "ghost batch size, 0: the whole batch [default: the paper's]"),
        "norm": flag(TEXT, "batch", "kind of normalisation: batch (ghost batches), layer, group, weight"),
        "norm_eps": flag(FLOAT, 1e-5, "eps of the normalisation"),
        "data": flag(TEXT, "fashion-mnist", "digits, fashion-mnist, cifar10, synthetic"),
        "data_dir": flag(TEXT, None, "folder of the files [default: where Debian's package puts them]"),
        "image_size": flag(INT, None, "average or pad the images to so many pixels a side"),
        "augment": flag(comma(str, "NAME,..."), None, "any of flip, crop, shift [default none]"),
        "N": flag(INT, None, "training samples, class-balanced [default: all]"),
        "B": flag(INT, _HP.B, "batch size"),
        "lr": flag(FLOAT, _HP.lr, "learning rate per step"),
        "wd": flag(FLOAT, _HP.wd, "weight decay"),
        "momentum": flag(FLOAT, _HP.momentum, "momentum coefficient, or beta1"),
        "epochs": flag(INT, _HP.epochs, "epochs"),
        "schedule": flag(TEXT, _HP.schedule, "NAME:ARGS, as in sde-si simulate"),
        "optimizer": flag(TEXT, "sgd", "sgd, sgd-displacement, nesterov, sgdw, adam, adamw, lion"),
        "beta2": flag(FLOAT, None, "second coefficient of Adam [0.999] and Lion [0.99]"),
        "eps": flag(FLOAT, None, "addend of Adam's denominator [1e-8]"),
        "effective_lr": flag(FLOAT, None, "fixed total effective learning rate, by projection (needs --wd 0)"),
        "constraint": flag(TEXT, "total", "what the projection keeps: total or groups"),
        "rescale": flag(bool, False, "rescale the weights to the new equilibrium whenever lr changes between epochs"),
        **TRICKS,
        "svag": flag(INT, 1, "l of SVAG"),
        "sampling": flag(TEXT, "reshuffle", "reshuffle or replacement"),
        "lags": flag(comma(whole, "1,10,..."), None, "record the cosine at these lags, in steps"),
        "noise_batches": flag(INT, 4, "extra minibatches an epoch that tell signal from noise"),
        "curvature": flag(INT, 0, "checkpoints at which the curvature that the noise sees is measured"),
        "response": flag(
            INT, 0, "checkpoints at which copies tell the response to noise and its asymmetry, up to the last lag"
        ),
        "evaluate_every": flag(INT, 5, "epochs between evaluations on the test set"),
        "seed": flag(INT, 0, "first seed: initial weights, order, augmentation"),
        "seeds": flag(INT, 1, "networks, each with its own seed"),
        "precision": flag(TEXT, "fp32", "fp64, fp32 or bf16"),
        "device": flag(TEXT, "auto", "cpu, cuda, or auto"),
        "compile": flag(bool, False, "use torch.compile"),
        "stack": flag(INT, None, "networks in one array [default: what a short trial finds faster]"),
        "resume": flag(bool, False, "go on from the saved state of an interrupted run"),
        "out": flag(TEXT, "./runs", "folder for record and states"),
        "config": flag(TEXT, None, "TOML file with any of these flags; flags override it"),
        "fresh": flag(bool, False, "train again even if the record exists"),
        "json": JSON,
        "quiet": QUIET,
        "no_figure": NO_FIGURE,
    },
    "Train a real network with SGD or SGDM and measure angles, norms, signal and noise, epoch by epoch.",
)
_HYPER = ("B", "lr", "wd", "momentum", "epochs", "schedule", "beta2", "eps")
_OUTPUT = ("N", "stack", "resume", "out", "config", "fresh", "json", "quiet", "no_figure")


def main(args: Sequence[str] | None = None) -> int:
    """Train, or load what is trained; returns the exit code."""
    return guarded(lambda: _main(args))


def _main(args: Sequence[str] | None) -> int:
    options: Any = parse(Options, "python -m validation.train", args)
    chosen = {name: getattr(options, name) for name in _HYPER}
    if options.N is not None:
        chosen["N"] = options.N
    given = HyperParameters(**chosen | {"N": chosen.get("N", max(50_000, options.B))})  # checked before torch is loaded
    job, images = _job(options, given)
    return _run(options, job, images)


def _job(options: Any, hyperparameters: HyperParameters) -> tuple[Any, Any]:
    """The checked job and its data; without ``--N`` it has all samples."""
    from validation.data import load
    from validation.train.job import Job

    values = {name: value for name, value in vars(options).items() if name not in (*_HYPER, *_OUTPUT)}
    values["data_dir"] = Path(options.data_dir) if options.data_dir else None
    job = Job.of(values, hyperparameters)
    images = load(job.data, folder=job.data_dir, N=options.N, size=job.image_size, seed=job.seed)
    return job.replace(hyperparameters=hyperparameters.replace(N=images.train_labels.size)), images


def _run(options: Any, job: Any, images: Any) -> int:
    from sde_si.record import diverged, load, save
    from sde_si.simulate.store import Store
    from validation.train.checks import check_stack, unused
    from validation.train.many import forget, states
    from validation.train.show import result_json, show

    store = Store(Path(options.out), 1, options.fresh, options.quiet)
    digest = job.digest(images)
    path = store.folder / f"train-{job.optimizer}-{digest[:12]}.nc"
    reused = path.exists() and not options.fresh
    for line in unused(job):
        say(line, options.quiet)
    if reused:
        say(f"already done, loaded from {path} (--fresh trains again)", options.quiet)
        record = load(path)
    else:
        job.check(images)
        if options.stack is not None:
            check_stack(job, images, options.stack)
        saved = bool(states(store.folder, digest))
        if options.resume and not saved:
            say(f"no saved state of this run in {store.folder}: it begins anew", options.quiet)
        store.check_writable()
        if saved and not options.resume:
            say(f"the saved state of this run in {store.folder} is removed, it begins anew (--resume goes on from it)",
                options.quiet)  # fmt: skip
        record = _train(options, job, images, store.folder, digest)
        save(record, path)
        forget(store.folder, digest)
    figure = None
    if not options.no_figure:
        from sde_si.figures import overlay_figure

        figure = overlay_figure({job.network: record}, store.folder, stem=path.stem)
    if options.json:
        emit(result_json(record, path, figure, reused=reused))
    else:
        show(job, record, path, figure)
    return DIVERGED if diverged(record) else DONE


def _train(options: Any, job: Any, images: Any, folder: Path, digest: str) -> Any:
    import time

    import torch

    from sde_si.terminal import Progress
    from validation.train.many import train
    from validation.train.memory import memory_told
    from validation.train.outcome import record

    begin = time.perf_counter()
    with memory_told(), Progress(job.network, job.work, options.quiet) as progress:
        results, names, how = train(
            job, images, folder, digest, stack=options.stack, resume=options.resume, progress=progress.advance
        )
    where = torch.cuda.get_device_name() if job.device.startswith("cuda") else "cpu"
    return record(job, results, names, digest, seconds=time.perf_counter() - begin, torch=torch.__version__,
                  torch_device=where, **how)  # fmt: skip
