"""The tricks' tables: every verdict from printed numbers, dead seeds, drifts, splits and the baseline."""

from __future__ import annotations

import io
import math
import re

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from paper_figs import style
from paper_figs.scripts import scripts
from validation import experiments
from validation.data import load
from validation.experiments import by_seed, verdict
from validation.train.job import Job


@pytest.fixture(scope="module")
def judged():
    return {row.trick: row for row in verdict.rows(experiments.load("tricks", "cpu"))}


@pytest.mark.parametrize("name", ["step", "epoch"])
def test_every_verdict_follows_from_the_printed_ratio(name):
    """From the table's words and numbers alone, by the rule beside it."""
    record = {"tricks": experiments.load("tricks", "cpu")}
    first, second = scripts()["tricks-table"].draw(record).tables
    network = dict(zip(first.rows, scripts()["tricks-why"].draw(record).tables[0].cells, strict=True))
    table = first if name == "step" else second
    for trick, cells in zip(table.rows, table.cells, strict=True):
        control = float(network[trick][0]) < 0.5
        moved = max(abs(float(word)) for word in re.findall(r"[-+][\d.]+", network[trick][2])) > 5
        for i, printed, said in zip(range(3), cells[3:6], cells[6:9], strict=True):
            mean, error = (float(word) if word != "-" else math.nan for word in [*printed.split(" ± "), "-"][:2])
            margin = 3 * (0 if control and math.isnan(error) else error)
            words = [("keeps", "breaks"), ("as none", "differs")][i == 2]
            want = (
                words[0]
                if abs(mean - 1) + margin <= 0.05
                else words[1]
                if abs(mean - 1) - margin > 0.05
                else "undecided"
            )
            if math.isnan(mean):
                want = "no prediction"
            elif i == 0 and moved and not control:
                want = "not in equilibrium"
            elif i == 2 and trick == "none":
                want = "the baseline"
            assert said == want, (trick, i, printed)


def test_a_ratio_is_the_mean_of_the_seeds_ratios_in_table_and_picture(judged):
    """Weight norm's seeds differ most: a ratio of means would be another number."""
    record = by_seed.late(experiments.load("tricks", "cpu")).isel(cell=21)
    ratios = (record["angle_step"].mean("epoch") / record["angle_step_predicted"].mean("epoch")).values
    found = judged["weight norm"].step.course
    assert found[:2] == pytest.approx((ratios.mean(), ratios.std(ddof=1) / 3**0.5))
    assert abs(found.mean - float(record["angle_step"].mean() / record["angle_step_predicted"].mean())) > 1e-4
    figure = scripts()["tricks"].draw({"tricks": experiments.load("tricks", "cpu")}).figure
    for axis, name in zip(figure.axes, ("step", "epoch"), strict=False):
        drawn = {line.get_label(): line for line in axis.containers}
        points, _, bars = drawn["against the transient"].lines
        courses = [getattr(row, name).course for row in judged.values()]
        np.testing.assert_allclose(points.get_xdata(), [one.mean for one in courses])
        widths = [np.ptp(segment[:, 0]) / 2 for segment in bars[0].get_segments() if len(segment)]
        np.testing.assert_allclose(widths, np.nan_to_num([one.stderr for one in courses if math.isfinite(one.mean)]))


def test_dead_seeds_are_named_and_left_out_and_the_control_breaks(judged):
    row = judged["Fixup, no norm"]
    for one in (row.step, row.epoch):
        assert one.equilibrium.verdict == one.course.verdict == verdict.BREAKS
        assert "the law does not apply: 0 % scale-invariant" in one.why
        assert "dead, left out: seeds 0, 2 (9.5 %, 9.5 %)" in one.why
        assert math.isnan(one.equilibrium.stderr)
    assert np.degrees(row.step.measured) == pytest.approx(0.386, abs=5e-4)
    assert not any("dead" in one.step.why for one in judged.values() if one is not row)
    assert all(load(name, N=160).classes == 10 for name in ("digits", "synthetic"))  # twice chance is DEAD


def test_a_seed_that_diverged_is_dead():
    """It has no accuracy: the test set is looked at when training is over."""
    record = experiments.load("tricks", "cpu").isel(cell=[0, 1])
    record["diverged_step"][1, 2] = 100
    for name in ("angle_step", "angle_epoch", "weight_norm", "test_accuracy"):
        record[name][1, 2, 20:] = math.nan
    one, other = verdict.rows(record)
    assert "dead" not in one.step.why
    assert "dead, left out: seeds 2 (diverged)" in other.step.why
    assert "norm not settled" not in other.step.why
    assert math.isfinite(other.step.course.mean)


def test_a_control_is_told_from_a_row_that_keeps_the_law():
    """Near 1 it is no evidence for a law that claims nothing; one living seed decides of a control alone."""
    record = experiments.load("tricks", "cpu").isel(cell=[0, 22])
    record["angle_step"][1] = record["angle_step_equilibrium"][1]
    assert verdict.rows(record)[1].step.equilibrium.verdict == verdict.NO_CLAIM
    record["invariant_share"][1] = 1.0
    assert verdict.rows(record)[1].step.equilibrium.verdict == verdict.UNDECIDED


def test_the_drift_of_the_norm_is_the_mean_of_the_seeds_drifts(judged):
    cells = scripts()["tricks-why"].draw({"tricks": experiments.load("tricks", "cpu")}).tables[0].cells
    assert cells[-1][2] == "-45.3 (-70.1 to +1.8)"
    assert judged["weight norm"].drifts.max() == pytest.approx(1.22, abs=0.001)
    assert cells[-2][2] == "+39.9 (-2.7 to +122.0)"


def test_the_angle_of_the_split_is_the_measured_one(judged):
    """In every row that has a split; the arc cosine of the averaged parts is not, where epochs and seeds differ."""
    for trick, row in judged.items():
        if trick == "AdamW":
            assert math.isnan(row.split.angle)
            assert verdict.NO_SPLIT in row.epoch.why
        else:
            assert row.split.angle == pytest.approx(row.epoch.measured, rel=1e-3), trick
    split = judged["weight norm"].split
    assert math.acos(sum(split[:3])) > 1.2 * split.angle


def test_tricks_are_told_apart_by_the_baseline(judged):
    """Per epoch no row keeps the law, the baseline included, yet half of them turn as the baseline does."""
    assert verdict.KEEPS not in {row.epoch.equilibrium.verdict for row in judged.values()}
    assert judged["none"].epoch.beside == (1, 0, verdict.BASELINE)
    assert judged["label smoothing"].epoch.beside.verdict == verdict.ALIKE
    assert judged["shake-shake"].epoch.beside.verdict == verdict.DIFFERS
    assert judged["EMA"].epoch.beside[:2] == pytest.approx((1, 0))
    assert verdict.SAME in judged["EMA"].step.why
    assert [trick for trick, row in judged.items() if verdict.SAME in row.step.why] == ["EMA"]


def test_the_text_says_what_fixup_starts_with():
    model = Job(network="fixup-resnet18", width=4, blocks=(1,), data="digits").build(load("digits", N=160))
    assert not model.head.weight.any()
    assert not any(block.conv2.weight.any() for block in model.stages)
    assert "ZeroInit is part of Fixup" in scripts()["tricks-why"].text.replace("\n", " ")


def test_a_grey_picture_needs_eight_greys():
    from PIL import Image

    for colour, most in (("0.4", 8), ("C0", 128)):
        figure, axes = style.panels(1)
        axes[0].plot([0, 1], [0, 1], color=colour)
        with Image.open(io.BytesIO(style.png(figure))) as image:
            assert len(image.getcolors()) <= most
            assert (most == 8) == (len(image.convert("RGB").getcolors()) <= 8)
