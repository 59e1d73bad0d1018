"""A sweep loses nothing: the experiments of `validation.reliability`, small here, whole under ``-m slow``."""

from __future__ import annotations

import pytest

from validation.reliability.cluster import dask_cluster
from validation.reliability.study import Study
from validation.reliability.suite import EXPERIMENTS
from validation.reliability.sweeps import boundaries, chaos, disk_errors, two_at_once, undisturbed
from validation.reliability.writer import writer


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return undisturbed(tmp_path_factory.mktemp("study"), runs=24)


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_kills(study, kills):
    figures = chaos(study, kills, executor="local:2", longest=0.8)
    assert figures["kills"] == kills
    assert figures["sweeps completed"] >= 1


def test_two_sweeps_at_once(study):
    figures = two_at_once(study)
    assert figures["runs"] == 24
    assert figures["runs done by both"] == 0


@pytest.mark.slow
def test_faults_at_every_boundary_of_a_workers_writing(tmp_path):
    figures = writer(Study(tmp_path, "function", 1))
    # create, write, flush, sync, rights, link or rename, sync the folder; a crash after the link besides
    assert min(figures.values()) >= 7
    assert figures["crash, record"] == figures["EIO, record"] + 1


def test_the_checks_can_fail(study):
    """What the suite would see if a sweep lost, damaged or left something."""
    out = study.folder / "undisturbed"
    study.seen = study.records("undisturbed")
    study.check_complete("undisturbed")
    name, whole = next(iter(study.seen.items()))
    (out / name).write_bytes(whole.replace(b"configuration", b"confiGuration"))
    with pytest.raises(AssertionError, match="lost or changed"):
        study.check("undisturbed")
    (out / name).unlink()
    with pytest.raises(AssertionError):
        study.check_complete("undisturbed")
    (out / name).write_bytes(whole)
    (out / ".lock").write_text("")
    with pytest.raises(AssertionError, match="left behind"):
        study.check_complete("undisturbed")
    (out / ".lock").unlink()


@pytest.mark.slow
@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_whole_suite(name, tmp_path):
    assert EXPERIMENTS[name][1](tmp_path)


@pytest.mark.slow
def test_sampled_boundaries_of_whole_sweeps(tmp_path):
    small = undisturbed(tmp_path, runs=2)
    assert boundaries(small, every=9)["boundaries"] >= 2
    assert disk_errors(small, every=12)["sweeps stopped by a lasting error"] == 6


@pytest.mark.slow
def test_dask_cluster_of_separate_processes(study, tmp_path):
    pytest.importorskip("distributed")
    with dask_cluster(tmp_path) as (address, kill_worker):
        figures = chaos(study, 2, executor=address, longest=4, disturb=kill_worker)
    assert figures["sweeps completed"] >= 1


def test_slurm_through_submitits_local_executor(tmp_path):
    pytest.importorskip("submitit")
    small = undisturbed(tmp_path, runs=6)
    code, summary, complained = small.run("slurm", "--executor", "slurm:cluster=local,chunk=3,minutes=5")
    assert code == 0, complained
    assert summary["done"] == 6
    for path in (small.folder / "slurm" / "jobs").iterdir():
        path.unlink()
    small.check_complete("slurm")
