"""``python -m validation.experiments.page`` writes docs/experiments.md from the registry and the records."""

from __future__ import annotations

import json
from pathlib import Path

from validation.experiments.base import SCALES, Experiment, unique
from validation.experiments.catalogue import EXPERIMENTS
from validation.experiments.made import listed, time_of
from validation.experiments.setups import seconds
from validation.experiments.summary import load, up_to_date

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "experiments.md"
TEXT = """# Experiments of the papers

One command repeats a figure or table of a paper with real networks. Each experiment is one small file in
`validation/experiments/catalogue`, found by its name: a list of cells (configurations of the [trainer](networks.md)),
seeds, what is kept of them, and the paper's own numbers. Training needs `pip install -e ".[networks]"` in a clone; the
lists and the [figures](gallery.md) do not.

```bash
python -m validation.experiments --list
python -m validation.experiments yun-table1 --scale tiny
python -m validation.experiments yun-table1 wan-equilibrium --scale cpu --max-minutes 60
python -m validation.experiments --pending
python -m validation.experiments --pending --device cuda --max-minutes 8
```

- `tiny` shows that it runs, in under a minute; `cpu` is for two cores that do nothing else, on which each takes by
  estimate under 75 minutes, and all together under 8 hours; `gpu` for one H100, by estimate 20 minutes each; both need
  Fashion-MNIST (Debian's `dataset-fashion-mnist`, or `--data-dir`); `full` is the paper's own size and needs CIFAR-10
  (`--data-dir`).
- Every run (a cell and a seed) is a file of its own in `--work`, named by the digest of its settings. Two experiments
  that need the same run share it. A kill, Ctrl-C or `--max-minutes` loses nothing that is finished, and a training goes
  on from its last state, at most half a minute back. The same command goes on.
- The summary is written when no run is missing: `validation/records/experiments/NAME-SCALE.nc`, dimensions cell, seed,
  epoch (and group where layers matter), with the exact command, seconds, machine and versions in its attributes. It
  holds the digest of its configuration: `--pending` also lists summaries that belong to an older one.
- Runs that the summaries in `--out` hold are not trained again, on whatever machine: cells that experiments share are
  taken from there, and `--seeds 5` adds two seeds to a summary of three. With an empty `--work` and an empty `--out`
  everything is made anew. `--rebuild` writes a summary again, after a change of what follows from its runs.
- Every number is read against its checksum. A damaged summary is named, nothing is taken from it, and before it is made
  again it is moved to `failed`, as a damaged run is.
- `--pending` without `--device` only lists, with the hours of one core (`cpu`) or of the accelerator (`gpu`, `full`)
  that are left, a run that two experiments share counted with the first alone; with `--device` it runs.
- Exit codes: 0 done, 2 bad input, 3 a run failed, 4 disk, 5 stopped before the end, 130 Ctrl-C.

```python
from validation.experiments import current, load, present

for name in ("wan-equilibrium", "reshuffling"):
    for scale in present(name):
        data = load(name, scale)
        print(name, dict(data.sizes), data.attrs["digest"] == current(name, scale))
```

## Adding one

A file `validation/experiments/catalogue/my_question.py` with an `EXPERIMENT` of two cells or more is enough for the
command, `--list` and `--pending`:

```text
from validation.experiments.base import Experiment, cell
from validation.experiments.setups import STEADY

EXPERIMENT = Experiment(
    title="Angle per step at three momenta",
    source="theory.md 9.2",
    question="Is it sqrt(2 lr wd/(1 + momentum))?",
    cells=lambda scale: [cell(STEADY[scale], {"momentum": mu}, case=str(mu)) for mu in (0.0, 0.5, 0.9)],
    figures=("my-question",),
)
```

Then `paper_figs/figures/my_question.py`, which draws it ([how](extend.md)), and
`python -m validation.experiments.page`, which writes this page; the tests ask for both, and that the estimate of `cpu`
and `gpu` stays within what stands above. New cells in an experiment that has a record: `--pending` lists it with only
their runs to do.

`cells(scale)` gives settings as flags of `python -m validation.train`, and labels that become columns of the summary.
`more` names the variables to keep beside those that everything here needs, `groups=True` keeps every layer, `derive`
adds what follows from the summary.
Beside the measurement the summary has `weight_norm_predicted`, `angle_step_predicted`, `angle_epoch_predicted`: the
second moments of the optimizer's own map through the whole schedule (theory 9.10), fed with the measured mean squared
gradient of every epoch; and `angle_step_equilibrium`, `angle_epoch_equilibrium`: noise alone, at the end.

## What there is

Runs are cells times seeds; hours are of one core (`tiny`, `cpu`) or one H100 (`gpu`, `full`), estimated from measured
rates on the CPU (a processor half as fast takes twice as long) and from assumed ones on the accelerator. A record tells
the processor time of its runs, or, where an older one knows no other, the time that passed, on machines that were doing
other things beside. Its command is the one that makes it; runs of several sessions and commits can stand in it, and its
provenance names them.
"""


def _entry(name: str, experiment: Experiment) -> str:
    lines = [f"### {name}", "", f"{experiment.title} ({experiment.source}).", "", experiment.question, ""]
    lines += ["| scale | runs | hours | record |", "|---|---:|---:|---|"]
    for scale in SCALES:
        cells, seeds = unique(experiment.cells(scale)), experiment.seeds[scale]
        hours = seeds * sum(seconds(cell.settings) for cell in cells) / 3600
        lines.append(f"| {scale} | {len(cells) * seeds} | {hours:.2g} | {_record(name, scale, seeds)} |")
    return "\n".join(lines)


def _record(name: str, scale: str, seeds: int) -> str:
    if not up_to_date(name, scale, seeds):
        return "pending" if scale != "tiny" else "-"
    data = load(name, scale)
    made = json.loads(data.attrs["provenance"])
    where = " and ".join(listed(made["processor"]))
    return f"`{data.attrs['command']}`, {made['runs']} runs, {time_of(made)}, {where}"


def page() -> str:
    """The page as text."""
    return TEXT + "\n" + "\n\n".join(_entry(name, one) for name, one in EXPERIMENTS.items()) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
