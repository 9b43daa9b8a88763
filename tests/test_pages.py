"""A page with nothing wrong warns in less than 5 % of cases, however many checks it has."""

import pages
import pytest

REPEATS = [5, pytest.param(200, marks=[pytest.mark.study, pytest.mark.timeout(1800)])]


@pytest.mark.parametrize("repeats", REPEATS)
def test_a_page_with_nothing_wrong_passes(repeats):
    clean = sum(
        all(check.status == "pass" for check in pages.page(seed, estimators=3))
        for seed in range(repeats)
    )
    assert clean >= 0.95 * repeats


def test_a_page_of_wrong_widths_fails_however_many_checks_it_has():
    found = pages.page(0, estimators=4, width=0.6)
    failed = {check.name for check in found if check.status == "fail"}
    assert {"calibration", "coverage"} <= failed
