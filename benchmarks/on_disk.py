"""What simulations cost on disk, and what planning them costs: the table of docs/cluster.md.

``python benchmarks/on_disk.py [SHARDS ...]``

Makes one full shard of the default study in a temporary folder and counts files and folders,
before and after it is sealed. Then plans that study with so many shards (by default 100, 1000 and
2000) and nothing made.
"""

import sys
import tempfile
from pathlib import Path

import yaml

from sbi_pipeline.cli import main
from workflow import ROOT, snakemake

ROWS = 100_000


def write_study(folder, shards):
    """Write the default study with so many shards of 100 000 rows, and return its folder."""
    told = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    campaign = told["campaigns"]["influenza"]
    campaign |= {"simulations": shards * ROWS, "shard_size": ROWS}
    campaign["observations"]["school_1978"]["file"] = str(ROOT / "config/data/influenza_1978.csv")
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(told))
    return folder


def size(folder):
    """Return how many files and folders a folder holds, itself too, and their bytes."""
    every = [folder, *folder.rglob("*")]
    return len(every), sum(path.stat().st_size for path in every if path.is_file())


def on_disk(folder):
    """Print the files of a shard."""
    snakemake(write_study(folder, 1), "results/influenza/simulations.json")
    simulations = folder / "results/simulations"
    files, held = size(simulations)
    main(["seal", str(simulations)])
    print(f"{ROWS} rows: {files} files and folders, {held / 1e6:.0f} MB", end="; ")
    print(f"sealed {size(simulations)[0]}")


def planned(folder, shards):
    """Print what planning costs."""
    cost = snakemake(write_study(folder, shards), "--dry-run", "--quiet")
    print(f"{shards} shards: {cost.cpu:.1f} s of CPU to plan")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        on_disk(Path(temporary) / "made")
        for shards in map(int, sys.argv[1:] or (100, 1000, 2000)):
            planned(Path(temporary) / str(shards), shards)
