"""What stands under a record's name and is none: another byte, a folder, a link to nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr

from sde_si import record
from sde_si.errors import DiskProblem
from sde_si.sweep import Sweep
from sde_si.sweep.cli import main

FUNCTION = "import numpy as np\ndef curve(seed):\n    return {'curve': np.linspace(0.5, 1 + seed, 50)}\n"


@pytest.fixture
def study(tmp_path):
    (tmp_path / "curve.py").write_text(FUNCTION)
    return Sweep(function=f"{tmp_path}/curve.py:curve", seeds=3, out=tmp_path / "o")


def run(study):
    with ThreadPoolExecutor(1) as executor:
        return study.run(executor=executor, quiet=False)


def statuses(study):
    return {name: len(jobs) for name, jobs in study.status().items() if jobs}


def test_one_changed_byte_is_noticed_and_the_run_done_again(study, tmp_path, capsys):
    assert run(study).done == 3
    path = tmp_path / "o" / next(study.jobs()).name
    whole = path.read_bytes()
    place = whole.index(np.array(0.5, ">f8").tobytes()) + 3
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(DiskProblem, match="checksum"):
        record.load(path)
    assert statuses(study) == {"done": 2, "unreadable": 1}
    assert int(study.collect(quiet=True).attrs["finished"]) == 2
    capsys.readouterr()
    summary = run(study)
    assert (summary.done, summary.reused) == (1, 2)
    assert f"{path}: damaged" in capsys.readouterr().err
    first, again = (xr.open_dataset(content, engine="scipy") for content in (whole, path.read_bytes()))
    assert first.attrs["checksum"] == again.attrs["checksum"], "provenance does not count"
    assert "checksum" not in record.load(path).attrs


def test_files_from_before_the_checksum_are_read(study, tmp_path):
    assert run(study).done == 3
    for path in (tmp_path / "o").glob("*.nc"):
        old = record.load(path)
        path.unlink()
        old.to_netcdf(path, engine="scipy", format="NETCDF3_64BIT")
    assert statuses(study) == {"done": 3}
    assert run(study).reused == 3


def test_a_checksum_covers_values_names_and_attributes_and_is_the_same_everywhere(tmp_path):
    one = xr.Dataset({"x": ("t", [1.0, 2.0], {"units": "m"}), "n": ((), 3)}, {"t": ["a", "b"]})
    one.attrs = {"configuration": "{}", "share": 0.5}
    others = [one.assign_attrs(share=0.25), one.rename(x="y"), one.assign(n=4), one.assign_coords(t=["a", "c"])]
    found = []
    for data in [one, *others, one.assign_attrs(provenance="{}")]:
        record.save(data, tmp_path / "x.nc")
        stated, true = record.checksums((tmp_path / "x.nc").read_bytes())
        assert stated == true
        found.append(true)
    assert len(set(found)) == 5
    assert found[0] == found[-1]
    assert found[0].startswith("bdde7e70cf59986e"), "files of today must be readable tomorrow"


def test_a_folder_or_link_under_a_records_name_is_moved_aside(study, tmp_path, capsys):
    first, second, _ = (tmp_path / "o" / job.name for job in study.jobs())
    for times in (1, 2):
        first.mkdir(parents=True)
        (first / "notes.txt").write_text("mine")
        second.symlink_to(tmp_path / "nowhere")
        assert statuses(study)["unreadable"] == 2
        summary = run(study)
        assert (summary.done, summary.missing) == (3 if times == 1 else 2, 0)
        said = capsys.readouterr().err
        assert f"{first}: no file" in said
        assert f"{second}: a link to nothing" in said
        assert len(list((tmp_path / "o" / "failed").glob("*.unreadable*/notes.txt"))) == times
        assert first.is_file()
        first.unlink()
        second.unlink()


def test_status_goes_on_beside_a_folder(study, tmp_path, capsys):
    (tmp_path / "s.toml").write_text(f'function = "{study.function}"\nseeds = 3\nout = "{study.out}"\n')
    (tmp_path / "o" / next(study.jobs()).name).mkdir(parents=True)
    assert main(["status", str(tmp_path / "s.toml")]) == 0
    said = capsys.readouterr().out
    assert "3 runs: 2 missing, 1 unreadable" in said
    assert "unreadable: no file" in said
    assert main([str(tmp_path / "s.toml"), "--dry-run", "--quiet"]) == 0
