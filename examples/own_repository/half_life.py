"""A stage of your own: the half-life, from the posterior of the rate."""

from pathlib import Path

import numpy as np
import xarray as xr

with xr.open_datatree(snakemake.input.posterior, engine="h5netcdf") as tree:  # noqa: F821
    half_life = np.log(2) / tree["posterior"]["rate"].to_numpy()
low, middle, high = np.percentile(half_life, [16, 50, 84])
text = f"half-life {middle:.2f} s, 68 % between {low:.2f} and {high:.2f}\n"
Path(snakemake.output.table).write_text(text)  # noqa: F821
