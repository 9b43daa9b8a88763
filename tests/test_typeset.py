"""Numbers are rounded to their errors; labels become pictures that name themselves."""

import math
import re

import pytest

from sbi_pipeline.plots import typeset
from sbi_pipeline.reports.rendering import Formulas


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.6641, 0.0412, "1.664 ± 0.041"),
        (12.34, 4.56, "12.3 ± 4.6"),
        (1234.0, 123.0, "1230 ± 120"),
        (-0.5, 0.25, "−0.50 ± 0.25"),
        (-123456.0, 2345.0, "(−1.235 ± 0.023) × 10⁵"),
        (2.3e-5, 1e-6, "(2.30 ± 0.10) × 10⁻⁵"),
        (0.0, 0.01, "0.000 ± 0.010"),
        (1.5, math.nan, "1.50"),
        (1.5, 0.0, "1.50"),
        (-0.001, 2.0, "0.0 ± 2.0"),
        (1.5, 0.0996, "1.50 ± 0.10"),
        (1.5, 9.96, "2 ± 10"),
        (1234.0, 996.0, "1200 ± 1000"),
    ],
)
def test_measured(value, error, text):
    assert typeset.measured(value, error) == text


@pytest.mark.parametrize(
    ("low", "middle", "high", "text"),
    [
        (1.62, 1.66, 1.71, r"$1.660^{+0.050}_{-0.040}$"),
        (-220.0, -100.0, 30.0, r"$-100^{+130}_{-120}$"),
        (2.0, 2.0, 2.0, "$2$"),
        (2.0, 2.0, 2.51, r"$2.00^{+0.51}_{-0.00}$"),
        (1.0, 1.0996, 1.4, r"$1.10^{+0.30}_{-0.10}$"),
        (-3e-5, -1e-9, 3e-5, r"$(0.0^{+3.0}_{-3.0})\,10^{-5}$"),
        (8.7e6, 9e6, 9.31e6, r"$(9.00^{+0.31}_{-0.30})\,10^{6}$"),
    ],
)
def test_asymmetric(low, middle, high, text):
    assert typeset.asymmetric(low, middle, high) == text


def test_interval():
    assert typeset.interval(1.59, 1.7312, 0.041) == "1.590 … 1.731"
    assert typeset.interval(-3.0, math.inf, 1.0) == "−3 … ∞"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, "–"),
        (-math.inf, "−∞"),
        (0.001234, "0.00123"),
        (-1e-9, "−1.00 × 10⁻⁹"),
        (3.0, "3"),
        (1.0003, "1.00"),
        (4512.3, "4512"),
        (2.5e7, "2.50 × 10⁷"),
        (225.4, "225"),
    ],
)
def test_number(value, text):
    assert typeset.number(value) == text


def test_numbers_in_sentences_are_set():
    text = "p = 1.3e-09, means by -0.05 sd, 95 % of 2e+05, re-run 3-step"
    assert typeset.tidy(text) == (
        "p = 1.3 × 10⁻⁹, means by −0.05 sd, 95\u00a0% of 2 × 10⁵, re-run 3-step"
    )


def test_latex_becomes_outlines_within_their_box():
    drawn = typeset.formula(r"$\beta_1^2$")
    numbers = [float(each) for each in re.findall(r"-?\d+", drawn.path)]
    across, down = numbers[::2], numbers[1::2]
    assert 0 <= min(across) < max(across) <= drawn.width
    assert -drawn.height - 30 <= min(down) < 0 < max(down) <= drawn.depth + 30
    assert typeset.formula(r"$\nonsense{$") is None


@pytest.mark.parametrize(
    ("label", "heard"),
    [
        (r"$\theta_{12}$", "theta 12"),
        (r"$M_\odot$", "M odot"),
        (r"$\mathrm{km\,s^{-1}}$", "kms to the -1"),
        ("speed", "speed"),
    ],
)
def test_labels_can_be_heard(label, heard):
    assert typeset.spoken(label) == heard


def test_a_label_is_drawn_once_however_often_it_is_used():
    formulas = Formulas()
    html = [formulas.label(r"$\beta$") for _ in range(3)]
    assert html[0] == html[2]
    assert 'aria-label="beta"' in html[0]
    (name,) = re.findall('href="#([^"]+)"', html[0])
    assert formulas.drawn().count("<path") == 1
    assert f'id="{name}"' in formulas.drawn()


def test_labels_cannot_break_the_page():
    assert Formulas().label("<b>plain") == "<span>&lt;b&gt;plain</span>"
    assert Formulas().label(r"$\nonsense{$") == r"<code>$\nonsense{$</code>"
