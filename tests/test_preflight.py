import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from sbi_pipeline import study
from sbi_pipeline.campaigns import preflight
from sbi_pipeline.campaigns.first_rows import TASK_SECONDS
from sbi_pipeline.campaigns.preflight import forecast_campaign
from sbi_pipeline.campaigns.settings import Effort, Limits
from sbi_pipeline.model import Model
from sbi_pipeline.stages import simulations

TESTS = Path(__file__).parent
UNIFORM = {name: {"type": "uniform", "min": 0, "max": 1} for name in "ab"}


def look(tmp_path, simulator, rows=10_000, **changes):
    options = {"seed": 5, "folder": tmp_path / "not yet"} | changes
    simulator_options = options.pop("options", {})
    model = Model(f"simulators_for_tests:{simulator}", simulator_options, ("a", "b"), UNIFORM)
    return forecast_campaign(model, rows=rows, **options)


def test_a_slow_simulator_is_forecast(tmp_path):
    cost = {"options": {"seconds": 0.05}}
    forecast = look(tmp_path, "Slow", 1_000_000, workers=10, **cost)
    assert (forecast.x_shape, forecast.x_dtype, forecast.failures) == ((3,), "float64", {})
    assert forecast.row_seconds == pytest.approx(0.05, rel=0.5)
    assert forecast.seconds == pytest.approx(5000, rel=0.5)
    assert forecast.size == 1_000_000 * (2 * 8 + 3 * 8 + 5)
    assert 600 < forecast.shard_size * forecast.row_seconds < 1800
    task = forecast.chunk_size * forecast.row_seconds
    assert TASK_SECONDS / 2 < task <= TASK_SECONDS
    assert "10 to 30 minutes" in str(forecast)
    assert "none of 20 failed" in str(forecast)


def test_a_cheap_vectorised_simulator_is_forecast(tmp_path):
    forecast = look(tmp_path, "Noise", 100_000_000, block_size=500)
    assert forecast.looked_at == 500
    assert forecast.shard_size % 500 == forecast.chunk_size % 500 == 0
    assert 100_000_000 / forecast.shard_size <= 2000


def test_failures_are_counted_and_fatal_only_where_more_fail_than_is_allowed(tmp_path):
    forecast = look(tmp_path, "Chancy", options={"limit": 1.0}, max_failed_fraction=0.9)
    assert 200 < forecast.failures["raised"] < 800
    with pytest.raises(ValueError, match=r"first rows: \d+ of 1000 .* failed, .* 0\.1; me"):
        look(tmp_path, "Chancy", options={"limit": 1.0}, max_failed_fraction=0.1)


@pytest.mark.parametrize(
    ("simulator", "options", "message"),
    [
        ("Forgetful", {}, r"1000 of 1000 simulations came out different .* from rng"),
        ("Broken", {"options": {"how": "raise"}}, r"all of the first 1000 .* no luck"),
        ("Broken", {"options": {"how": "nan"}}, r"all of the first 1000 .* x has nan at flat"),
        ("Large", {"rows": 10**12}, r"take 1e\+09 GB, .* GB free; ask for fewer"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path, simulator, options, message):
    with pytest.raises(ValueError, match=message):
        look(tmp_path, simulator, **options)


def test_few_rows_of_a_slow_simulator_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "LOOK_SECONDS", 0.25)
    assert look(tmp_path, "Slow", options={"seconds": 0.05}).looked_at in (3, 4, 5)
    monkeypatch.setattr(preflight, "LOOK_SECONDS", 0.0)
    assert look(tmp_path, "Slow", options={"seconds": 0.05}).looked_at == 2


def test_few_rows_of_a_slow_simulator_that_takes_many_are_looked_at(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(preflight, "LOOK_SECONDS", 2.0)
    slow = {"options": {"seconds": 0.02}}
    assert look(tmp_path, "SlowTogether", **slow).looked_at == 20
    before, stopped = caplog.messages
    assert before.endswith("SlowTogether: at most 1,000 first rows are simulated, twice")
    assert "a call of 20 rows takes" in stopped
    monkeypatch.setattr(preflight, "LOOK_SECONDS", 0.0)
    assert look(tmp_path, "SlowTogether", **slow).looked_at == 2


@pytest.fixture
def first_shard(tmp_path):
    """Return a function that runs the stage on the first shard of a campaign."""
    home = tmp_path / "simulations"
    home.mkdir()
    shard = {"start": 0, "rows": 1000, "shard_size": 10_000, "block_size": 1000}

    def run(simulator, **options):
        model = Model(f"simulators_for_tests:{simulator}", {}, ["a", "b"], UNIFORM)
        same = {"prior": home / "prior-0.zarr", "model": model, "seed": 5, "key": "k", **shard}
        simulations.sample_prior(**same)
        simulations.simulate(receipt=home / "shard-0.json", **same, **options)
        return home

    return run


def test_a_large_campaign_is_forecast_before_its_first_shard_only(first_shard):
    home = first_shard("Noise", campaign_rows=1_000_000)
    forecast = home / "preflight.json"
    content = json.loads(forecast.read_text())
    assert content["size"] == 1_000_000 * (2 * 8 + 2 * 8 + 5)
    forecast.unlink()
    first_shard("Noise", campaign_rows=1_000_000)  # it is begun: nothing to be learned
    assert not forecast.exists()


def test_a_small_campaign_is_not_forecast(first_shard):
    assert not (first_shard("Noise", campaign_rows=20_000) / "preflight.json").exists()


@pytest.mark.parametrize(
    ("simulator", "rows", "message"),
    [
        ("Forgetful", 1_000_000, "came out different"),
        ("Noise", 10**14, "GB free; ask for fewer"),
    ],
)
def test_nothing_is_stored_of_a_large_campaign_that_cannot_work(
    first_shard, tmp_path, simulator, rows, message
):
    with pytest.raises(ValueError, match=message):
        first_shard(simulator, campaign_rows=rows)
    assert [path.name for path in (tmp_path / "simulations").iterdir()] == ["prior-0.zarr"]
    with pytest.raises(ValueError, match="came out different"):
        first_shard("Forgetful", campaign_rows=10**14, effort=Effort(bucket="s3://name/prefix"))


@pytest.mark.parametrize("bucket", ["", "s3://name/prefix"])
def test_what_preflight_is_told(monkeypatch, caplog, bucket):
    caplog.set_level("INFO")
    monkeypatch.syspath_prepend(str(TESTS))
    config = yaml.safe_load((TESTS / "config.yaml").read_text())
    config["campaigns"]["tiny"]["limits"] = {"time_limit": 3}
    if bucket:
        config["campaigns"]["tiny"]["bucket"] = bucket
    told = {}

    def forecast(model, **given):
        told.update(given)
        return SimpleNamespace(row_seconds=2.0)

    monkeypatch.setattr(simulations, "forecast_campaign", forecast)
    plan = study.Plan(study.take_configuration(config, check=False))
    simulations.preflight(campaigns=study.Jobs(plan).models())
    assert told["limits"] == Limits(time_limit=3)
    assert (told["folder"] is None) == bool(bucket)
    assert caplog.messages[-1] == (
        "predictions: 2 posteriors of 200 data sets each, 13.3 min; observations: 1 calls, 2 s"
    )


def test_workers_elsewhere_are_forecast_with(first_shard, monkeypatch):
    told = {}

    def forecast(model, **given):
        told.update(given)
        raise ValueError("enough")

    monkeypatch.setattr(simulations, "forecast_campaign", forecast)
    with pytest.raises(ValueError, match="enough"):
        first_shard(
            "Noise", campaign_rows=1_000_000, effort=Effort(workers=50, cluster="slurm"), threads=1
        )
    assert told["workers"] == 50
