"""Pages as a browser shows them: nothing is cut off, and the keyboard reaches everything."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_report import make_report

from sbi_pipeline.plots import style
from sbi_pipeline.reports import report

pytest.importorskip(
    "PyQt6.QtWebEngineWidgets",
    reason="needs PyQt6-WebEngine, which holds a Chromium: the extra browser",
    exc_type=ImportError,
)
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SHOWN = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]


def seen(page, width, scheme):
    """What a browser of this width finds on a page."""
    command = [sys.executable, str(ROOT / "tests/browser.py"), str(page), str(width), scheme]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    told = make_report()
    images = {stem: style.png(figure) for stem, figure in report.figures(told)}
    vector = next(figure for stem, figure in report.figures(told) if stem == "loss")
    page = tmp_path_factory.mktemp("page") / "report.html"
    page.write_text(report.render(told, {**images, "loss": style.svg(vector)}))
    return page


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("furo", reason="needs furo: the extra docs")
    made, trees = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("trees")
    command = [sys.executable, "-m", "sphinx", "--quiet", "-c", str(ROOT / "docs/site")]
    subprocess.run([*command, "-d", str(trees), str(ROOT), str(made)], check=True)
    return made / "README.html"


@pytest.mark.parametrize(("width", "scheme"), SHOWN)
@pytest.mark.parametrize("which", ["campaign", "site"])
def test_a_page_is_whole_in_a_browser(which, width, scheme, request):
    found = seen(request.getfixturevalue(which), width, scheme)
    assert found["dark"] == (scheme == "dark")
    assert found["scrolls"] <= found["width"]
    assert found["said"] == []
    assert found["images"] > 0
    assert found["broken"] == []
    assert found["silent"] == found["unnamed"] == 0
    assert found["lang"] == "en"


@pytest.mark.parametrize("width", [1280, 390])
def test_headings_come_in_order_and_the_keyboard_first_skips(campaign, width):
    found = seen(campaign, width, "light")
    levels = found["levels"]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= before + 1 for before, later in itertools.pairwise(levels))
    assert found["steps"] == ["#content", "#verdict", "#results"]
