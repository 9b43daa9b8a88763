"""The documentation as a site: built without a warning, its links followed, its llms.txt read."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("furo", reason="needs furo: the extra docs")
pytest.importorskip("myst_nb", reason="needs myst-nb: the extra docs")

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


class Page(HTMLParser):
    """What a page refers to, and the places in it that may be referred to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if place := given.get("id"):
            self.places.add(place)
        if link := given.get("src" if tag in ("img", "script") else "href"):
            self.links.append(link)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the site, built from nothing; the notebook is run by its own test."""
    made = tmp_path_factory.mktemp("site")
    trees = tmp_path_factory.mktemp("trees")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
    command += ["-D", "nb_execution_mode=off"]
    command += ["-c", str(ROOT / "docs/site"), "-b", "html", "-d", str(trees), str(ROOT), str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def test_every_link_within_the_site_leads_somewhere(pages: dict[Path, Page]) -> None:
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            if not target.is_file() or (place and place not in pages[target].places):
                broken.append(f"{path.name}: {link}")
    assert not broken
    assert sum(len(page.links) for page in pages.values()) > 1000


def test_the_first_page_is_the_readme(pages: dict[Path, Page], site: Path) -> None:
    assert "README.html" in (site / "index.html").read_text()
    (home,) = (page for path, page in pages.items() if path == site / "README.html")
    assert "docs/how-to/slow.html" in home.links


def test_every_markdown_file_of_the_documentation_is_a_page(pages: dict[Path, Page]) -> None:
    texts = [
        *ROOT.glob("*.md"),
        *ROOT.glob("benchmarks/**/*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("docs/*.ipynb"),
        ROOT / "config/README.md",
        *ROOT.glob("examples/*/README.md"),
    ]
    wanted = {
        text.relative_to(ROOT).with_suffix(".html").as_posix()
        for text in texts
        if "docs/site" not in text.as_posix() and "every_study" not in text.as_posix()
    }
    (site,) = {path.parent for path in pages if path.name == "genindex.html"}
    assert wanted <= {path.relative_to(site).as_posix() for path in pages}


def test_llms_txt_names_every_page_and_nothing_else(site: Path, pages: dict[Path, Page]) -> None:
    text = (site / "llms.txt").read_text()
    title, _, about, *_ = text.splitlines()
    assert title == "# sbi_pipeline"
    assert about.startswith("> Simulation-based inference")
    entries = re.findall(r"^- \[(.+?)\]\((.+?)\): .", text, re.MULTILINE)
    assert len(entries) == text.count("\n- ")
    for _, address in entries:
        assert (site / address).is_file(), address
    told = {
        Path(address.removeprefix("_sources/")).with_suffix("").as_posix() for _, address in entries
    }
    made = {path.relative_to(site).with_suffix("").as_posix() for path in pages}
    assert told == made - {"index", "genindex", "py-modindex", "search"}


def test_what_python_offers_is_told_with_its_arguments(pages: dict[Path, Page]) -> None:
    (notebook,) = (page for path, page in pages.items() if path.name == "notebook.html")
    assert notebook.places >= {
        "sbi_pipeline.load",
        "sbi_pipeline.trained.Posterior.sample",
        "sbi_pipeline.trained.Posterior.log_prob",
        "sbi_pipeline.storage.reading.load_simulations",
    }
    (parts,) = (page for path, page in pages.items() if path.name == "parts.html")
    assert parts.places >= {
        "sbi_pipeline.types.Simulator",
        "sbi_pipeline.types.Prior.from_uniform",
        "sbi_pipeline.estimators.Estimator.loss",
        "sbi_pipeline.networks.embedding.Embedding",
        "sbi_pipeline.samplers.Sampler",
        "sbi_pipeline.diagnostics.diagnostic.Diagnostic",
    }
