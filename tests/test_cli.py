from pathlib import Path

import pytest

from sbi_pipeline import cli
from sbi_pipeline.campaigns.settings import Effort
from sbi_pipeline.campaigns.shard import simulate_shard
from sbi_pipeline.campaigns.sources import PriorSource
from sbi_pipeline.model import Model
from sbi_pipeline.storage.prior import write_prior

SPECS = {name: {"type": "normal", "mean": 0, "sd": 1} for name in ("theta_1", "theta_2")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Simulations of one shard, whole."""
    home = tmp_path / "simulations/linear_gaussian-abc"
    home.mkdir(parents=True)
    model = Model("linear_gaussian", {}, tuple(SPECS), SPECS)
    drawn = PriorSource().draw(model.build_prior(), seed=1, start=0, rows=2000)
    write_prior(home / "prior-0.zarr", drawn, tuple(SPECS), key="abc", start=0)
    simulate_shard(
        prior=home / "prior-0.zarr",
        store=home / "shard-0.zarr",
        receipt=home / "shard-0.json",
        model=model,
        seed=1,
        key="abc",
        effort=Effort(chunk_size=1000),
    )
    return tmp_path / "simulations"


def test_status_lists_shards(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["status", str(folder)])
    printed = capsys.readouterr().out
    assert "linear_gaussian-abc/shard-0" in printed
    assert "2,000" in printed
    assert "done" in printed


def test_repair_deletes_what_is_damaged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["verify", str(folder)])
    assert capsys.readouterr().out == "every committed row is as it was written\n"
    cli.main(["repair", str(folder)])
    assert capsys.readouterr().out.startswith("0 damaged chunks")
    chunk = folder / "linear_gaussian-abc/shard-0.zarr/x/c/1/0"
    content = bytearray(chunk.read_bytes())
    content[100] ^= 1
    chunk.write_bytes(content)
    with pytest.raises(SystemExit, match="1 damaged place"):
        cli.main(["verify", str(folder)])
    assert "chunk 1, rows 1000 to 2000" in capsys.readouterr().out
    cli.main(["repair", str(folder)])
    assert "1 damaged chunks" in capsys.readouterr().out
    assert not (folder / "linear_gaussian-abc/shard-0.json").exists()


def test_a_wrong_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no such folder; are you where snakemake is called"):
        cli.main(["status", str(tmp_path / "none")])


@pytest.fixture
def tiny_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder that holds the tiny study, of which nothing is made."""
    for name in ("config.yaml", "tiny.py"):
        (tmp_path / name).write_text(Path(__file__).with_name(name).read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_configuration_is_checked_without_snakemake(
    tiny_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["check"])
    assert capsys.readouterr().out == "the configuration is right; campaigns: tiny\n"
    config = tiny_study / "config.yaml"
    config.write_text(config.read_text().replace("method: npe", "\tmethod: npe"))
    with pytest.raises(SystemExit, match=r"^config\.yaml:20: a tab; wanted spaces$"):
        cli.main(["check"])
    with pytest.raises(SystemExit):
        cli.main(["check", "results/tiny"])
    assert "unrecognized arguments: results/tiny" in capsys.readouterr().err
    config.unlink()
    with pytest.raises(SystemExit, match=r"no config/config\.yaml or config\.yaml here; name one"):
        cli.main(["check"])


def test_why_lists_what_would_run(tiny_study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["why", "results/tiny/npe/estimator.pt", "--configfile", "config.yaml"])
    lines = capsys.readouterr().out.splitlines()
    assert "train tiny/npe: not made yet" in lines
    assert not any("nle" in line for line in lines)
    assert not (tiny_study / "results").exists()
