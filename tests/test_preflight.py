import pytest

from sbi_pipeline import priors
from sbi_pipeline.preflight import preflight

PRIOR = priors.build({name: {"type": "uniform", "min": 0, "max": 1} for name in "ab"}, ("a", "b"))


def look(tmp_path, simulator, rows=10_000, **changes):
    options = {"options": {}, "seed": 5, "folder": tmp_path / "not yet"} | changes
    return preflight(PRIOR, simulator=f"simulators_for_tests:{simulator}", rows=rows, **options)


def test_a_slow_simulator_is_forecast(tmp_path):
    cost = {"options": {"seconds": 0.05}}
    forecast = look(tmp_path, "Slow", 1_000_000, workers=10, **cost)
    assert (forecast.x_shape, forecast.x_dtype, forecast.failures) == ((3,), "float64", {})
    assert forecast.row_seconds == pytest.approx(0.05, rel=0.5)
    assert forecast.seconds == pytest.approx(5000, rel=0.5)
    assert forecast.size == 1_000_000 * (2 * 8 + 3 * 8 + 5)
    assert 600 < forecast.shard_size * forecast.row_seconds < 1800
    assert 1 < forecast.chunk_size * forecast.row_seconds < 10
    assert "10 to 30 minutes" in str(forecast)
    assert "none of 20 failed" in str(forecast)


def test_a_cheap_vectorised_simulator_is_forecast(tmp_path):
    forecast = look(tmp_path, "Noise", 100_000_000, block_size=500)
    assert forecast.looked_at == 500
    assert forecast.shard_size % 500 == forecast.chunk_size % 500 == 0
    assert 100_000_000 / forecast.shard_size <= 2000


def test_failures_are_counted_not_fatal(tmp_path):
    forecast = look(tmp_path, "Broken", options={"how": "nan"})
    assert forecast.failures == {"nan": 1000}


@pytest.mark.parametrize(
    ("simulator", "options", "message"),
    [
        ("Forgetful", {}, r"1000 of 1000 simulations came out different .* from rng"),
        ("Broken", {"options": {"how": "raise"}}, r"all of the first 1000 .* no luck"),
        ("Large", {"rows": 10**12}, r"take 1e\+09 GB, .* GB free; ask for fewer"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path, simulator, options, message):
    with pytest.raises(ValueError, match=message):
        look(tmp_path, simulator, **options)
