"""What the monitor shows: summary, record, plot, log and sinks."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")

from noise_model import Noise, train  # noqa: E402

from sde_si import theory  # noqa: E402
from sde_si.comparison import Row  # noqa: E402
from sde_si.monitor import AngularMonitor, tensorboard, wandb  # noqa: E402
from sde_si.record import load, save  # noqa: E402


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("monitor")
    torch.manual_seed(0)
    model = Noise(200, 100)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, weight_decay=1e-2)
    scalars, logged = {}, []
    monitor = AngularMonitor(model, optimizer, 50, log=folder / "log.jsonl", lags=(10,), every=5, quiet=True,
                             groups={"first": ["weights.0"], "[second]": ["weights.1"]},
                             sinks=[lambda values, step: scalars.update({step: values}), wandb(_Run(logged)),
                                    tensorboard(_Run(logged))])  # fmt: skip
    train(model, optimizer, 1000)
    return monitor, folder, scalars, logged


class _Run:
    def __init__(self, logged):
        self.logged = logged

    def log(self, values, commit):
        self.logged.append(("wandb", values, commit))

    def add_scalar(self, name, value, step):
        self.logged.append(("tensorboard", name, value, step))


def test_summary(watched):
    monitor, *_ = watched
    summary = monitor.summary()
    text = str(summary)
    assert "[second]" in text
    assert "1.0" in text
    assert all(isinstance(row, Row) for rows in summary.rows().values() for row in rows)
    json.dumps(summary.to_json(), allow_nan=False)
    html = summary._repr_html_()
    assert html.count("<tr>") == 8  # angles of a step, angles over lags
    assert "angles over lags" in text
    assert "[second]" in html
    model = Noise(5)
    fresh = AngularMonitor(model, torch.optim.SGD(model.parameters(), lr=0.1), groups=["weights.0"], quiet=True)
    assert "nothing recorded" in str(fresh.summary())


def test_record_is_the_projects(watched, tmp_path):
    monitor, *_ = watched
    record = monitor.record()
    save(record, tmp_path / "monitor.nc")
    again = load(tmp_path / "monitor.nc")
    assert again.equals(record)
    assert json.loads(again.attrs["group_names"]) == ["first", "[second]"]
    assert set(json.loads(again.attrs["predictions_by_group"])) == {"first", "[second]", "all"}
    from sde_si import figures
    from sde_si.estimators import equilibrated, equilibrium
    from sde_si.show import main_show

    assert figures.overlay({"monitor": again})
    assert main_show([str(tmp_path / "monitor.nc"), "--out", str(tmp_path)]) == 0
    window = equilibrated(again, 2 * 2e-3 / 1.9)
    found = equilibrium(again, window, "angle_step")
    assert found.value == pytest.approx(theory.step_angle(2e-3, 0.9), rel=0.03) if window else window.why


def test_plot_log_and_sinks(watched):
    monitor, folder, scalars, logged = watched
    assert len(monitor.plot().axes) == 3
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == sorted(scalars)
    last = lines[-1]["groups"]["first"]
    assert last["predicted"] == pytest.approx(theory.step_angle(2e-3, 0.9))
    assert last["angle_step"] == pytest.approx(scalars[max(scalars)]["sde_si/angle_step/first"])
    assert all(isinstance(v, float) for values in scalars.values() for v in values.values())
    assert {entry[0] for entry in logged} == {"wandb", "tensorboard"}
    assert not any(entry[2] for entry in logged if entry[0] == "wandb")
