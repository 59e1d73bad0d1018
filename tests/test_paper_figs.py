"""Figures of the papers: found by name, drawn from made records, checked against the configuration, without torch."""

from __future__ import annotations

import ast
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from paper_figs import accuracy, cli, gallery, grid, networks, quantified, simulated, style
from paper_figs.scripts import FOLDER, SIMULATED, scripts
from sde_si import theory
from sde_si.errors import BadInput
from validation import experiments
from validation.experiments import verdict
from validation.experiments.setups import hyperparameters

ROOT = Path(__file__).resolve().parent.parent
NAMES = list(scripts())
WITH_RECORDS = [name for name in NAMES if scripts()[name].experiments]
SEEDS, FORMS = 2, ("png", "pdf", "svg")
# Seven tables share one function, five figures another: most of them are drawn in the long run only.
ALIKE = [f"yun-table{k}" for k in (2, 3, 4, 6, 7)] + [f"yun-fig{k}" for k in (4, 6, 7)]


def made(name: str, scale: str = "cpu", *, seeds: int = SEEDS, epochs: int | None = None) -> xr.Dataset:
    """A record of the contract with made numbers: angles about the noise-only law, accuracy best on the diagonal."""
    experiment = experiments.EXPERIMENTS[name]
    cells, rng = experiment.cells(scale), np.random.default_rng(3)
    hps = [hyperparameters(one.settings) for one in cells]
    E = epochs or max(hp.epochs for hp in hps)
    groups = ["layer 1", "layer 2", "all"] if experiment.groups else []
    shape = (len(cells), seeds, E, *([len(groups)] if groups else []))
    dims = ("cell", "seed", "epoch", *(["group"] if groups else []))
    factor = np.array([max(hp.tuning_factor, 1e-4) for hp in hps])
    noise = 1 + 0.02 * rng.standard_normal(shape)
    tall = (slice(None),) + (None,) * (len(shape) - 1)
    angle = np.arccos(np.clip(1 - 0.5 * np.minimum(factor, 1), -1, 1))
    data = {
        "angle_epoch": angle[tall] * noise, "angle_middle": angle[tall] * noise, "weight_norm": 2 * noise,
        "angle_step": np.sqrt([2 * max(hp.intrinsic_lr, 1e-6) / (1 + hp.momentum) for hp in hps])[tall] * noise,
        "gradient": 3 * noise, "signal": 0.5 * noise, "noise_trace": 2.5 * noise,
    }  # fmt: skip
    data |= {f"{key}_predicted": 1.1 * data[key] / noise for key in networks.Course._fields}
    out = {key: (dims, value.astype(np.float32)) for key, value in data.items()}
    flat = ("cell", "seed", "epoch")
    peak = 0.8 - 0.02 * np.log2(factor / 0.0512) ** 2
    test = np.full((len(cells), seeds, E), np.nan)
    test[:, :, -1] = np.clip(peak, 0.05, 1)[:, None] + 0.001 * rng.standard_normal((len(cells), seeds))
    out["test_accuracy"] = (flat, test.astype(np.float32))
    out["train_loss"] = (
        flat,
        (np.exp(-np.arange(E) / E) + 0.05 * rng.random((len(cells), seeds, E))).astype(np.float32),
    )
    out["weight_norm_initial"] = (dims[:2] + dims[3:], np.full((*shape[:2], *shape[3:]), 2.0, np.float32))
    out["diverged_step"] = (("cell", "seed"), np.full((len(cells), seeds), -1, np.int32))
    out["lr_end"] = (("cell", "epoch"), np.array([np.full(E, hp.lr) for hp in hps], np.float32))
    out["steps_per_epoch"] = (("cell", "epoch"), np.array([np.full(E, hp.N // hp.B) for hp in hps], np.float32))
    out["batch"] = (("cell", "epoch"), np.array([np.full(E, hp.B) for hp in hps], np.float32))
    out["angle_epoch_paper"] = (("cell", "epoch"), np.repeat(np.arccos(1 - np.minimum(factor, 2))[:, None], E, 1))
    coordinates = {key: ("cell", np.array([float(getattr(hp, key)) for hp in hps]))
                   for key in ("N", "B", "lr", "wd", "momentum", "tuning_factor")}  # fmt: skip
    for label in dict.fromkeys(key for one in cells for key in one.labels):
        absent = "" if isinstance(next(one.labels[label] for one in cells if label in one.labels), str) else math.nan
        coordinates[label] = ("cell", np.array([one.labels.get(label, absent) for one in cells]))
    coordinates |= {"seed": np.arange(seeds), "epoch": np.arange(1, E + 1)}
    if groups:
        coordinates["group"] = np.array(groups)
    record = xr.Dataset(out, coordinates)
    record["effective_lr"] = record["lr_end"] / record["weight_norm"] ** 2
    record["effective_lr_epoch"] = record["effective_lr"] * record["steps_per_epoch"]
    record.attrs = {"experiment": name, "scale": scale, "digest": experiment.digest(scale), "command": "made",
                    "paper": json.dumps(experiment.paper), "setup": "{}", "provenance": "{}"}  # fmt: skip
    if name == "tricks":  # its own derivation builds networks
        for key in ("angle_step", "angle_epoch"):
            for part, value in (("mean", 0.1), ("stderr", 0.01), ("equilibrium", 0.11)):
                record[f"{key}_{part}"] = ("cell", np.full(len(cells), value))
        record["invariant_share"] = ("cell", np.linspace(1, 0, len(cells)))
        record["norm_drift"] = ("cell", np.full(len(cells), 0.01))
        for part, value in (("decay", 0.95), ("velocity", 0.0), ("drift", 0.03)):
            record[f"split_{part}"] = (flat, np.full((len(cells), seeds, E), value))
        return record
    return experiment.derive(record) if experiment.derive else record


@pytest.fixture(scope="module")
def records():
    """Made records of every experiment that a figure needs, short; each made once."""
    wanted = {name for one in scripts().values() for name in one.experiments}
    return {name: made(name, epochs=None if name == "wan-lr-drop" else 12) for name in wanted}


def test_every_script_says_what_it_is():
    for one in scripts().values():
        assert one.title
        assert one.text
        assert "et al." in one.source or "Li, Malladi" in one.source, one.name
        assert set(one.experiments) <= set(experiments.EXPERIMENTS), one.name
        tree = ast.parse((FOLDER / f"{one.name.replace('-', '_')}.py").read_text())
        assert "draw" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    short = {p.name: len(p.read_text().splitlines()) for p in FOLDER.glob("[!_]*.py")}
    assert {name: lines for name, lines in short.items() if lines > 130} == {}


def test_every_figure_that_an_experiment_names_exists():
    named = {figure for one in experiments.EXPERIMENTS.values() for figure in one.figures}
    assert named <= set(NAMES)


def test_list_names_every_script(capsys):
    assert cli.main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in NAMES if name not in shown] == []
    assert cli.main(["lag-cosine", "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lag-cosine"]["needs"] == [SIMULATED]


@pytest.mark.parametrize("name", [name for name in NAMES if scripts()[name].simulates])
def test_committed_simulations_belong_to_the_present_configuration(name):
    one = scripts()[name]
    record = simulated.load(one)
    assert record is not None
    assert record.attrs["digest"] == simulated.digest(one), f"python -m paper_figs {name} --recompute"
    assert simulated.path(one).stat().st_size < 300 * 1024


@pytest.mark.parametrize("name", [name for name in experiments.EXPERIMENTS if experiments.present(name)])
def test_committed_records_of_networks_belong_to_the_present_configuration(name):
    for scale in experiments.present(name):
        assert experiments.load(name, scale).attrs["digest"] == experiments.current(name, scale)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in ALIKE)) for n in NAMES])
def test_every_figure_draws_with_labels_and_units(name, records):
    one = scripts()[name]
    own = {SIMULATED: simulated.load(one)} if one.simulates else {}
    drawn = one.draw(own | {key: records[key] for key in one.experiments})
    assert "nan" not in drawn.seen.replace("Gaussian", "")
    axes = [axis for axis in drawn.figure.axes if axis.axison]
    assert all(axis.get_xlabel() for axis in axes if axis.get_legend_handles_labels()[0])
    assert drawn.tables or axes
    assert drawn.seen.endswith(".")


def test_a_table_is_written_in_all_forms(tmp_path, monkeypatch, capsys, records):
    monkeypatch.setattr(cli, "records_of", lambda *_: ({"yun-table1": records["yun-table1"]}, []))
    assert cli.main(["yun-table1", "--out", str(tmp_path), "--format", ",".join(FORMS)]) == 0
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".pdf", ".svg", ".md", ".tex"}
    markdown = (tmp_path / "yun-table1.md").read_text()
    assert markdown.count("**") > 2 * 6
    assert "†" in markdown
    assert r"\cellcolor" in (tmp_path / "yun-table1.tex").read_text()
    assert "rank correlation" in capsys.readouterr().out


def test_the_table_of_tricks_has_every_row_its_rule_and_its_verdicts(tmp_path, monkeypatch, records):
    monkeypatch.setattr(cli, "records_of", lambda *_: ({"tricks": records["tricks"]}, []))
    assert cli.main(["tricks-table", "--out", str(tmp_path), "--quiet"]) == 0
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".md", ".tex"}
    markdown, tex = ((tmp_path / f"tricks-table.{end}").read_text() for end in ("md", "tex"))
    names = records["tricks"]["trick"].values.tolist()
    assert verdict.RULE in markdown
    assert verdict.RULE in tex
    heads = [line.split("|")[1].strip() for line in markdown.splitlines() if line.startswith("| ")]
    assert heads == 2 * ["trick", *names]  # a table for each angle
    assert tex.count(r"\\") == 2 * (len(names) + 1)


@pytest.mark.parametrize(
    ("ratio", "stderr", "said"),
    [
        (1.0, 0.001, verdict.KEEPS),
        (0.96, 0.003, verdict.KEEPS),
        (0.96, 0.004, verdict.UNDECIDED),  # noise does not help
        (1.0, 0.03, verdict.UNDECIDED),
        (0.9, 0.03, verdict.UNDECIDED),
        (0.9, 0.01, verdict.BREAKS),
        (1.063, 0.0056, verdict.UNDECIDED),
        (1.0, math.nan, verdict.UNDECIDED),
        (math.nan, math.nan, verdict.NOTHING),
    ],
)
def test_a_noisy_angle_is_undecided(ratio, stderr, said):
    assert verdict.judge(ratio, stderr) == said


def test_the_norm_gates_every_row_and_the_transient_is_judged_all_the_same(records):
    record = records["tricks"].copy(deep=True)
    for key in ("step", "epoch"):
        record[f"angle_{key}"][:] = record[f"angle_{key}_predicted"][:] = 0.11
    record["weight_norm"][:], record["invariant_share"][:] = 2.0, 1.0
    found = {(row.step.equilibrium.verdict, row.step.course.verdict) for row in verdict.rows(record)}
    assert found == {(verdict.KEEPS, verdict.KEEPS)}
    # Opposite drifts of two seeds: their mean norm stands still.
    record["weight_norm"][:, 0, -1], record["weight_norm"][:, 1, -1] = 2.2, 1.8
    for row in verdict.rows(record):
        assert (row.step.equilibrium.verdict, row.step.course.verdict) == (verdict.UNSETTLED, verdict.KEEPS)
        assert "norm not settled" in row.step.why
        assert row.epoch.equilibrium.verdict == verdict.UNSETTLED


def test_the_committed_tricks_are_judged_by_their_numbers():
    """Weight norm drifts most and its angle is nearest: no equilibrium. No row keeps the angle per epoch."""
    found = {row.trick: row for row in verdict.rows(experiments.load("tricks", "cpu"))}
    assert found["weight norm"].step.equilibrium.verdict == verdict.UNSETTLED
    assert found["label smoothing"].step.equilibrium.verdict == verdict.KEEPS
    assert found["batch growth"].step.course.verdict == verdict.BREAKS
    assert {row.epoch.equilibrium.verdict for row in found.values()} == {verdict.BREAKS, verdict.UNSETTLED}
    assert found["none"].split.free == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no-such-figure"], "--names"),
        (["--format", "bmp"], "--format"),
        (["--scale", "huge"], "--scale"),
    ],
)
def test_bad_input_is_refused(words, said, capsys):
    assert cli.main(words) == 2
    found = capsys.readouterr()
    assert said in found.err
    assert "expected" in found.err
    assert found.out == ""


def test_check_accepts_what_belongs_and_refuses_what_does_not(tmp_path, monkeypatch, capsys):
    one = scripts()["lag-cosine"]
    good = simulated.load(one)
    assert good is not None
    monkeypatch.setattr(simulated, "FOLDER", tmp_path)
    assert cli.main(["lag-cosine", "--check", "--quiet"]) == 5  # pending
    assert cli.main(["lag-cosine", "--out", str(tmp_path / "out")]) == 5
    assert "pending" in capsys.readouterr().err
    good.to_netcdf(simulated.path(one), engine="scipy")
    assert cli.main(["lag-cosine", "--check"]) == 0
    good.attrs["digest"] = "0" * 64
    simulated.path(one).unlink()
    good.to_netcdf(simulated.path(one), engine="scipy")
    assert cli.main(["lag-cosine", "--check"]) == 1
    assert "lag-cosine" in capsys.readouterr().err


def test_check_refuses_an_experiments_foreign_record(monkeypatch, records):
    record = records["yun-table5"].copy()
    monkeypatch.setattr(cli, "records_of", lambda *_: ({"yun-table5": record}, []))
    assert cli.main(["yun-table5", "--check", "--quiet"]) == 0
    record.attrs["digest"] = "another"
    assert cli.main(["yun-table5", "--check", "--quiet"]) == 1


def test_a_changed_simulation_has_another_digest(monkeypatch):
    one = scripts()["svag-theory"]
    before = simulated.digest(one)
    assert simulated.digest(one) == before
    monkeypatch.setattr(one.module, "U", 0.021)
    assert simulated.digest(one) != before


def test_collect_keeps_means_and_their_errors():
    from sde_si.verify.claims.common import run

    runs = {"a": run(N=640, B=64, dim=16, epochs=3, paths=8), "b": run(N=640, B=64, dim=16, epochs=2, paths=8, lr=0.2)}
    record = simulated.collect(runs)
    assert record["angle_epoch"].dims == ("cell", "epoch")
    assert np.isnan(record["angle_epoch"].values[1, 2])
    assert record["lr"].values.tolist() == [0.1, 0.2]
    assert (record["angle_epoch_stderr"].values[0] > 0).all()
    assert set(simulated.collect(runs, keep=("weight_norm",)).data_vars) == {"weight_norm", "weight_norm_stderr"}


def test_drawing_needs_no_torch(tmp_path):
    code = f"""
import sys
from paper_figs.cli import main
from paper_figs.scripts import scripts
code = main(["lag-cosine,yun-paper", "--out", {str(tmp_path)!r}, "--quiet"])
[one.module for one in scripts().values()]
assert "torch" not in sys.modules
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "lag-cosine.png").stat().st_size < gallery.LARGEST


def test_nobody_imports_the_figures():
    files = [*(ROOT / "sde_si").rglob("*.py"), *(ROOT / "validation").rglob("*.py")]
    outside = re.compile(r"^\s*(import|from) paper_figs", re.MULTILINE)
    assert [path for path in files if outside.search(path.read_text())] == []


def test_the_gallery_shows_every_figure():
    page = (ROOT / "docs" / "gallery.md").read_text()
    for name, one in scripts().items():
        assert f"## {one.title}\n" in page, name
        picture = ROOT / "docs" / gallery.PICTURES / f"{name}.png"
        if picture.exists():
            assert f"]({gallery.PICTURES}/{name}.png)" in page
            assert picture.stat().st_size <= gallery.LARGEST
    kept = {path.stem for path in (ROOT / "docs" / gallery.PICTURES).glob("*.png")}
    assert kept <= set(NAMES)


def test_cells_of_different_length_end_in_nothing():
    record = made("yun-table5", epochs=20)
    for name in ("steps_per_epoch", "lr_end", "batch"):
        record[name][0, 12:] = np.nan
    for name in ("gradient", "angle_epoch"):
        record[name][0, :, 12:] = np.nan
    assert networks.epochs(record, 0) == 12
    values = networks.sde(record, 0, "angle_epoch")
    assert np.isfinite(values[:12]).all()
    assert np.isnan(values[12:]).all()
    assert networks.late(record, 0) == slice(9, 12)


def test_the_sde_turns_by_its_own_law():
    record = made("yun-table5", epochs=60)
    record["gradient"][:] = 3.0
    i = int(np.argmax(record["N"].values / record["B"].values))
    hp = networks.hyperparameters(record, i)
    law = theory.angle_of(1 - float(theory.sde_lag_cosine(hp.steps_per_epoch, hp.intrinsic_lr, hp.momentum)))
    simulated = networks.sde(record, i, "angle_epoch", paths=64)[20:40].mean()  # before the first drop
    assert simulated == pytest.approx(law, rel=0.02)
    assert simulated != pytest.approx(math.acos(1 - hp.tuning_factor), rel=0.04)


def test_the_exact_course_is_the_records_own(records):
    record = records["yun-table5"]
    said = networks.exact(record, 3)
    assert said.angle_step == pytest.approx(record["angle_step_predicted"].isel(cell=3).mean("seed").values)
    assert np.isnan(networks.exact(record.drop_vars("weight_norm_predicted"), 3).weight_norm).all()


# Statements in numbers, on made tables with a known answer.


def table(power: float, *, seeds: int = 3, noise: float = 0.05, rows: int = 9, seed: int = 0):
    """Accuracy peaked at wd = 1e-3 (N/1000)^power."""
    rng = np.random.default_rng(seed)
    wd, N = 1e-3 * 2.0 ** np.arange(-(rows // 2), rows // 2 + 1), 1000 * 2.0 ** np.arange(-2, 3)
    away = np.log(wd[:, None] / (1e-3 * (N / 1000) ** power))
    return wd, N, (90 - away**2)[..., None] + noise * rng.standard_normal((wd.size, N.size, seeds))


@pytest.mark.parametrize("power", [-1.0, 0.0, 0.5])
def test_slope_finds_the_power_and_rejects_others(power):
    wd, N, values = table(power, seeds=10, noise=0.3)
    found = quantified.slope(values, wd, N)
    assert found.value == pytest.approx(power, abs=0.1)
    assert found.holds(power)
    assert not any(found.holds(other) for other in (-1.0, 0.0, 0.5) if other != power)
    assert found.high - found.low < 0.3


def test_slope_without_errors_says_so():
    wd, N, values = table(-1.0, seeds=1)
    found = quantified.slope(values, wd, N)
    assert found.value == pytest.approx(-1, abs=0.1)
    assert math.isnan(found.low)
    assert not found.holds(-1.0)


def test_the_interval_widens_with_the_noise_and_covers():
    held, widths = 0, []
    for seed in range(20):
        wd, N, values = table(-1.0, noise=0.6, seeds=5, seed=seed)
        found = quantified.slope(values, wd, N, resamples=200)
        held += found.holds(-1.0)
        widths.append(found.high - found.low)
    assert held >= 15
    wd, N, values = table(-1.0, noise=0.05, seeds=5)
    quiet = quantified.slope(values, wd, N, resamples=200)
    assert np.median(widths) > 2 * (quiet.high - quiet.low)


def test_best_cells_off_the_diagonal_only_beyond_one_standard_error():
    wd, N, values = table(-1.0, noise=0.0)
    marked = np.abs(np.log(wd[:, None] * N / 1.0)) < 0.01
    assert [one.verdict for one in quantified.columns(values, marked)] == ["on"] * 5
    shifted = np.roll(marked, 1, axis=0)
    # the true best is off by a clear amount
    assert [one.verdict for one in quantified.columns(values, shifted)] == ["off"] * 5
    wd, N, values = table(-1.0, noise=3.0)
    values[:] = values.mean() + 3.0 * np.random.default_rng(1).standard_normal(values.shape)
    within = [one.verdict for one in quantified.columns(values, shifted)]
    assert set(within) <= {"on", "within", "off"}
    alone = quantified.columns(values[..., :1], shifted)
    assert all(one.verdict in ("on", "unknown") for one in alone)
    assert quantified.columns(values, np.zeros_like(marked))[0].verdict == "unknown"


def test_spread_tells_equal_from_other_cells():
    rng = np.random.default_rng(0)
    equal = np.array([True] * 4 + [False] * 4)
    level = np.where(equal, 0.3, 0.3 * 2.0 ** np.array([0, 0, 0, 0, -2, -1, 1, 2]))
    angle = level[:, None, None] * np.exp(0.02 * rng.standard_normal((8, 3, 40)))
    angle[:, :, :5] *= np.linspace(1, 9, 8)[:, None, None]  # a transient that must not count
    found = quantified.spreads(angle, np.full(8, 5), equal)
    assert found["equal tuning factor"].value < 0.05
    assert found["others"].value > 0.5
    assert found["equal tuning factor"].high < found["others"].low
    early = quantified.spreads(angle, np.zeros(8, int), equal)
    assert early["equal tuning factor"].value > 1.5 * found["equal tuning factor"].value


def test_transient_end_follows_the_slowest_law():
    assert quantified.transient_end(np.array([0.05])).tolist() == [35]
    assert quantified.transient_end(np.array([5.0]), 10).tolist() == [15]


def test_the_papers_tables_carry_the_diagonal_and_agree_with_themselves():
    parts = accuracy.theirs(experiments.EXPERIMENTS["yun-table1"].paper)
    part = parts["wd"]
    assert part.marked.sum(axis=0).tolist() == [1] * 5
    assert part.wd[:, 0][np.argmax(part.marked, axis=0)] == pytest.approx([0.0032, 0.0016, 0.0008, 0.0004, 0.0002])
    a, b = accuracy.common(part, part)
    assert grid.rank_correlation(a[:, 0], b[:, 0])[0] == pytest.approx(1)
    upside_down = grid.rank_correlation(a[:, 1], -b[:, 1])[0]
    assert upside_down == pytest.approx(-1)


def test_rank_correlation_of_unrelated_numbers_is_small():
    rng = np.random.default_rng(5)
    value, p, count = grid.rank_correlation(rng.random(400), rng.random(400))
    assert abs(value) < 0.15
    assert p > 1e-3
    assert count == 400
    assert math.isnan(grid.rank_correlation(np.ones(5), np.ones(5))[0])


def test_a_grid_marks_and_bolds():
    one = grid.Grid(title="t", corner="r", rows=("a_1", "b"), columns=("x", "y"),
                    value=np.array([[1.0, np.nan], [2.0, 3.0]]), stderr=np.array([[0.1, np.nan], [np.nan, 0.2]]),
                    marked=np.array([[True, False], [False, True]]))  # fmt: skip
    assert one.best.tolist() == [[False, False], [True, True]]
    assert "| a_1 | 1.00 ± 0.10 † |  |" in one.markdown()
    assert "**3.00 ± 0.20** †" in one.markdown()
    assert r"a\_1" in one.latex()
    assert r"\cellcolor{yellow!40}\textbf{3.00\,$\pm$\,0.20}" in one.latex()


def test_missing_cells_and_diverged_runs_are_left_out(records):
    record = made("yun-table1")
    record["diverged_step"][0, 0] = 5
    part = accuracy.ours(record)["lr"]
    assert np.isnan(part.accuracy).sum() == 1
    assert np.isfinite(part.mean).all()


def test_markers_differ_without_colour():
    assert len(set(style.MARKERS)) == len(style.MARKERS)
    assert style.picks(10).tolist() == list(range(10))
    assert style.picks(1000, log=True).size <= style.POINTS


def test_a_scale_that_is_none_is_refused_before_any_work():
    with pytest.raises(BadInput, match="names"):
        cli._main(["no-such"])
