"""Pages as a browser shows them: nothing is cut off, and the keyboard reaches everything."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from test_report import make_report

from sbi_pipeline.plots import style
from sbi_pipeline.reports import overview, report
from sbi_pipeline.reports.verdict import to_json

try:
    from PyQt6 import QtWebEngineWidgets as _  # noqa: F401
except ImportError as error:  # not installed, or a library of the system is not
    pytest.skip(
        f"no Chromium: {error}; `pip install 'sbi-pipeline[browser]'` brings one, and the packages "
        "of Debian that it needs are those of .ci/run: libqt6webenginewidgets6, libgl1, libasound2",
        allow_module_level=True,
    )
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SHOWN = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]


def seen(page, width, scheme, tabs=0):
    """What a browser of this width finds on a page, and where so many tabs lead."""
    told = map(str, (page, width, scheme, tabs))
    command = [sys.executable, str(ROOT / "tests/browser.py"), *told]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module", autouse=True)
def chromium(tmp_path_factory):
    """Skip where Chromium is there and does not start, as in a container that forbids it."""
    page = tmp_path_factory.mktemp("probe") / "page.html"
    page.write_text("<!DOCTYPE html><html lang='en'><title>a</title><h1>a</h1></html>")
    try:
        seen(page, 390, "light")
    except (subprocess.SubprocessError, IndexError, ValueError) as error:
        pytest.skip(f"Chromium does not start here: {error}")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages of results, by what they tell of."""
    told = make_report()
    drawn = dict(report.figures(told))
    images = {stem: style.png(figure) for stem, figure in drawn.items()}
    images["loss"] = style.svg(drawn["loss"])
    found = json.loads(to_json(told.checks))
    entries = [overview.Entry("holes", "Two black holes", "holes/report.html", found)]
    errors = {"coverage_error": [0.02, 0.01], "coverage_error_by_chance": 0.01}
    fits = {"estimator": "npe", "simulations": [500, 2000], "seed": 1}
    swept = pd.DataFrame(fits | {"nats": [1.2, 1.5], "nats_error": 0.1, **errors})
    texts = {
        "campaign": report.render(told, images),
        "index": overview.render_index(entries, [], {"budget": "budget/comparison.html"}),
        "comparison": overview.render_comparison("budget", swept, images["loss"]),
    }
    folder = tmp_path_factory.mktemp("pages")
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text)
    return {name: folder / f"{name}.html" for name in texts}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("furo", reason="needs furo: the extra docs")
    made, trees = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("trees")
    command = [sys.executable, "-m", "sphinx", "--quiet", "-c", str(ROOT / "docs/site")]
    command += ["-D", "nb_execution_mode=off", "-d", str(trees)]  # the notebook has its own test
    subprocess.run([*command, str(ROOT), str(made)], check=True)
    return made


def is_whole(found, scheme):
    """Hold what a browser finds against what every page is to be."""
    assert found["dark"] == (scheme == "dark")
    assert found["scrolls"] <= found["width"]
    assert found["said"] == []
    assert found["broken"] == []
    assert found["silent"] == found["unnamed"] == 0
    assert found["lang"] == "en"


@pytest.mark.parametrize(("width", "scheme"), SHOWN)
@pytest.mark.parametrize("which", ["campaign", "index", "comparison"])
def test_a_page_is_whole_in_a_browser(pages, which, width, scheme):
    found = seen(pages[which], width, scheme)
    is_whole(found, scheme)
    assert found["images"] > 0 or which == "index"


SITE = {
    "index.html": "sbi_pipeline",  # leads to the README
    "docs/how-to/slow.html": "My simulator is slow",
    "config/README.html": "The configuration",
}
"""Pages of the site by their first heading."""


@pytest.mark.parametrize(("width", "scheme"), SHOWN)
@pytest.mark.parametrize("name", SITE)
def test_the_site_is_whole_in_a_browser(site, name, width, scheme):
    found = seen(site / name, width, scheme)
    is_whole(found, scheme)
    assert found["heading"] == SITE[name]
    assert found["images"] > 0 or name != "index.html"


@pytest.mark.parametrize("width", [1280, 390])
def test_headings_come_in_order_and_the_keyboard_first_skips(pages, width):
    found = seen(pages["campaign"], width, "light", tabs=3)
    levels = found["levels"]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= before + 1 for before, later in itertools.pairwise(levels))
    assert found["steps"] == ["#content", "#verdict", "#results"]
