import json
import subprocess
import sys

import numpy as np
import pytest

from sbi_pipeline.model import Model
from sbi_pipeline.types import is_vectorised

ENTRIES = {name: {"type": "uniform", "min": 0, "max": 1} for name in "ab"}
NOISE = {"simulator": "simulators_for_tests:Noise", "options": {}, "parameters": ["a", "b"]}


def test_it_is_made_of_json():
    model = Model(**json.loads(json.dumps({**NOISE, "priors": ENTRIES})))
    assert model.parameters == ("a", "b")
    assert is_vectorised(model.build_simulator())
    parameters = model.build_prior().from_uniform(np.full((3, 2), 0.5))
    assert model.build_simulator()(parameters, np.random.default_rng(1)).shape[0] == 3


def test_one_row_at_a_time_is_seen():
    model = Model("simulators_for_tests:Slow", {}, ("a", "b"), ENTRIES)
    assert is_vectorised(model.build_simulator()) is False


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"options": {"slope": float("nan")}}, "value.slope is nan; wanted a finite number"),
        ({"options": {"slope": np.float64}}, "value.slope is .* of type type; wanted null"),
    ],
)
def test_options_that_cannot_be_written_down_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Model(**{**NOISE, "priors": ENTRIES, **changes})


def test_options_the_simulator_does_not_take_are_refused():
    model = Model(**{**NOISE, "priors": ENTRIES, "options": {"wrong": 1}})
    with pytest.raises(ValueError, match="keyword arguments of its constructor"):
        model.build_simulator()


def test_records_are_cheap_to_import():
    heavy = ("arviz", "dask", "distributed", "matplotlib", "scipy", "torch", "zarr")
    code = (
        "import sys, sbi_pipeline.model, sbi_pipeline.campaigns.settings;"
        f"print(*[name for name in {heavy} if name in sys.modules])"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.split() == []
