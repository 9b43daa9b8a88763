"""The verdict is the worst check, said plainly."""

import json
import math
import re
from dataclasses import replace

import pytest

from sbi_pipeline.diagnostics.check import Check
from sbi_pipeline.reports import verdict


def _check(status, value=0.5, name="coverage"):
    return Check(name, "npe", status, "a number", value, "warn above 1", "0", "Do this.")


@pytest.mark.parametrize(
    ("statuses", "worst", "words"),
    [
        (["pass", "pass"], "pass", "All 2 checks passed"),
        (["pass", "warn"], "warn", "1 of 2 checks gives a warning: coverage (npe)"),
        (["fail", "warn", "fail"], "fail", "2 of 3 checks failed: coverage (npe; npe)."),
    ],
)
def test_the_worst_check_decides(statuses, worst, words):
    found = verdict.overall([_check(status) for status in statuses])
    assert found.status == worst
    assert words in found.sentence


def test_of_many_subjects_the_first_are_named():
    checks = [replace(_check("warn"), subject=f"npe, o{number}") for number in range(200)]
    (named,) = re.findall(r"coverage \((.*)\)\.$", verdict.overall(checks).sentence)
    assert named == "npe, o0; npe, o1; npe, o2; npe, o3; npe, o4; and 195 more"
    assert "npe, o5)" in verdict.overall(checks[:6]).sentence


def test_nothing_checked_is_not_a_pass():
    with pytest.raises(ValueError, match="no checks"):
        verdict.overall([])


def test_json_is_strict_and_complete():
    text = verdict.to_json([_check("pass"), _check("fail", math.nan, "convergence")])
    found = json.loads(text, parse_constant=pytest.fail)
    assert found["status"] == "fail"
    assert found["checks"][0]["value"] == 0.5
    assert found["checks"][1]["value"] is None
    assert set(found["checks"][0]) == set(Check.__dataclass_fields__)
