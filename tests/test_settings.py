import json

import pytest

from sbi_pipeline.campaigns.settings import Limits


@pytest.mark.parametrize(
    ("limits", "guarded"),
    [
        ({}, False),
        ({"retries": 2}, False),
        ({"isolate": True}, True),
        ({"time_limit": 2.5}, True),
        ({"memory_limit": 10**9}, True),
    ],
)
def test_a_limit_implies_a_guard(limits, guarded):
    assert Limits(**json.loads(json.dumps(limits))).is_guarded == guarded
