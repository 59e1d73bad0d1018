"""The collected data as a table, and on disk."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sde_si.disk import write_bytes
from sde_si.errors import require

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def table(data: xr.Dataset) -> pd.DataFrame:
    """The collected data as a table: means over paths, and their standard errors, one row for each epoch and group.

    Columns are the axes, the settings that differ, and every variable; with a ``path`` dimension ``NAME_stderr`` is the
    standard error of the mean over paths.
    """
    import warnings

    if "path" in data.dims:
        columns = {}
        for name, variable in data.data_vars.items():
            if "path" not in variable.dims:
                columns[name] = variable
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # a run that is missing has no mean
                number = variable.notnull().sum("path")
                columns[name] = variable.mean("path")
                if variable.dtype.kind == "f":
                    columns[f"{name}_stderr"] = variable.std("path", ddof=1) / np.sqrt(number)
        data = data.drop_dims("path").assign(columns)
    frame = data.to_dataframe() if data.sizes else data.to_pandas().to_frame().T
    return frame.reset_index() if data.sizes else frame


def write(data: xr.Dataset, path: Path) -> None:
    """Write the collected data as NetCDF (``.nc``) or as a Parquet table (``.parquet``), whole or not at all.

    Raises
    ------
    BadInput
        If the name ends otherwise, or pyarrow is missing.
    DiskProblem
    """
    from importlib.util import find_spec

    require(path.suffix in (".nc", ".parquet"), "to", "a file ending in .nc or .parquet", path, "all.parquet")
    if path.suffix == ".nc":
        flat = data.copy()
        for name, variable in flat.variables.items():
            if variable.dtype == object:
                flat[name] = variable.astype(str)
        # NetCDF-3 has no 64-bit integers; what does not fit is refused by xarray.
        write_bytes(bytes(flat.to_netcdf(engine="scipy", format="NETCDF3_64BIT")), path)  # pyright: ignore[reportArgumentType]
        return
    require(find_spec("pyarrow") is not None, "to", "pyarrow for Parquet", "no such package",
            'pip install "sde_si[parquet]"')  # fmt: skip
    write_bytes(_parquet(data), path)


def _parquet(data: xr.Dataset) -> bytes:
    """The table, with the unit and long name of each column in its field and the attributes in the schema.

    ``pandas.read_parquet`` gives both as ``DataFrame.attrs``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    plain = pa.Table.from_pandas(table(data), preserve_index=False)
    fields, units = [], {}
    for field in plain.schema:
        name = field.name.removesuffix("_stderr")
        known = data[name].attrs if name in data.variables else {}
        title = known.get("long_name", "")
        title = f"standard error of the mean: {title}" if name != field.name and title else title
        units[field.name] = known.get("units", "")
        fields.append(field.with_metadata({"units": units[field.name], "long_name": title}))
    attributes = {key: value for key, value in data.attrs.items() if isinstance(value, str | int | float)}
    # under this name pandas keeps `DataFrame.attrs`
    more = {b"PANDAS_ATTRS": json.dumps(attributes | {"units": units}).encode()}
    schema = pa.schema(fields, metadata=(plain.schema.metadata or {}) | more)
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(plain.columns, schema=schema), buffer)
    return buffer.getvalue()
