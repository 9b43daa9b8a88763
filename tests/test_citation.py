"""What a page tells of how it was done, and the works it names."""

import importlib.resources
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from test_report import make_report

from sbi_pipeline import __version__, cli, provenance, registry, shipped
from sbi_pipeline.networks.flows import FLOWS
from sbi_pipeline.reports import citation, comparison_methods, report

WORKS = (importlib.resources.files("sbi_pipeline") / "templates/references.bib").read_text()
ENTRIES = re.findall(r"^@\w+\{(\w+),", WORKS, re.MULTILINE)


@pytest.fixture(scope="module")
def told():
    made = make_report()
    networks = {"npe": {"flow": "maf", "embedding": "deep_set", "members": 4}}
    versions = {**made.versions, "sbi-pipeline": "1.2", "snakemake": "9.1", "torch": "2.13.0+cpu"}
    one, other = made.estimators
    estimators = [one, replace(other, method="nle")]
    return replace(made, estimators=estimators, networks=networks, versions=versions)


def test_the_paragraph_tells_what_was_done(told) -> None:
    text = citation.paragraph(told)
    assert text.startswith("We inferred mass and spin by simulation-based inference")
    assert "We marginalised over phase." in text
    assert "masked autoregressive flows" in text
    assert "deep sets" in text
    assert "an ensemble of 4 networks" in text
    assert "neural likelihood estimation (NLE)" in text
    assert "Verdict: " in text
    assert "sbi_pipeline 1.2" in text
    assert "PyTorch 2.13.0 " in text
    plain = citation.in_plain_text(text)
    assert "(Papamakarios & Murray 2016; Greenberg et al. 2019)" in plain
    assert "(Rocklin" not in plain  # this page does not tell of Dask
    assert "@" not in plain
    latex = citation.in_latex("done by a_b for 10\u202f000 of 5 % [@molder2021; @talts2018]")
    assert latex == r"done by a\_b for 10\,000 of 5 \% \citep{molder2021,talts2018}"


def test_a_mixture_names_what_it_is_mixed_of(told) -> None:
    parts = [
        {"method": method, "members": 5, "network": {"flow": flow}}
        for method, flow in (("npe", "nsf"), ("nle", "nsf_ar"))
    ]
    first, _ = told.estimators
    mixed = replace(first, method="auto")
    text = citation.paragraph(
        replace(told, estimators=[mixed], networks={mixed.name: {"parts": parts}})
    )
    assert "that make held-out simulations probable [@yao2018]: neural posterior est" in text
    assert text.count("an ensemble of 5 networks") == 2


def test_bibtex_holds_the_works_that_are_named_and_no_others(told) -> None:
    text = citation.paragraph(told)
    entries = re.findall(r"^@\w+\{(\w+),", citation.bibtex(text, "1.2"), re.MULTILINE)
    assert entries == list(dict.fromkeys(re.findall(r"@(\w+)", text)))
    assert "papamakarios2017" in entries
    assert "zaheer2017" in entries
    assert "lee2019" not in entries
    assert "version = {1.2}" in citation.bibtex(text, "1.2")


def test_every_work_is_named_by_something_and_whole() -> None:
    tables = (citation.METHODS, citation.FLOWS, citation.EMBEDDINGS, citation.CHECKS)
    named = " ".join(each for table in (*tables, citation.SOFTWARE) for each in table.values())
    named += Path(citation.__file__).read_text() + Path(comparison_methods.__file__).read_text()
    assert {key for key in ENTRIES if f"@{key}" not in named} == set()
    assert set(re.findall(r"@(\w+)[\];]", named)) - {"key"} <= {*ENTRIES, citation.OWN_KEY}
    for entry in WORKS.strip().split("\n\n"):
        assert entry.count("{") == entry.count("}")
        assert re.search(r"author = \{.+\}", entry)
        assert re.search(r"title = \{.+\}", entry)
        assert re.search(r"year = \{\d{4}\}", entry)
        assert re.search(r"eprint = \{\d{4}\.\d{4,5}\}|doi = \{10\.\d+/\S+\}", entry)


def test_all_methods_and_flows_have_their_works() -> None:
    assert set(citation.METHODS) == set(registry.ESTIMATORS)
    assert set(citation.FLOWS) == set(FLOWS) - {"mdn"}  # a mixture of normals needs none


def test_works_in_docstrings_are_those_that_are_cited() -> None:
    for method, text in citation.METHODS.items():
        module, _, _ = registry.ESTIMATORS[method].target.partition(":")
        source = Path(provenance.__file__).parent.joinpath(*module.split(".")[1:])
        said = source.with_suffix(".py").read_text()
        said += source.with_name("contrast.py").read_text() if method == "nre" else ""
        for key in re.findall(r"@(\w+)", text):
            (entry,) = (each for each in WORKS.split("\n\n") if f"{{{key}," in each)
            (eprint,) = re.findall(r"eprint = \{(.+?)\}", entry)
            assert eprint in said, (method, key)


def test_the_page_has_the_paragraph_and_its_works(told) -> None:
    page = report.render(told, {})
    assert "<h3>For a paper</h3>" in page
    assert "Papamakarios &amp; Murray 2016" in page
    assert "@inproceedings{papamakarios2016," in page
    assert "sbi-pipeline cite results/holes" in page


def test_cite_prints_what_the_verdict_tells(
    told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("results/holes")
    folder.mkdir(parents=True)
    with pytest.raises(SystemExit, match=r"verdict\.json is not there; name the folder"):
        cli.main(["cite", str(folder)])
    (folder / "verdict.json").write_text("{}")
    with pytest.raises(SystemExit, match="by an earlier version"):
        cli.main(["cite", str(folder)])
    methods = {"paragraph": citation.paragraph(told), "version": "1.2"}
    (folder / "verdict.json").write_text(json.dumps({"methods": methods}))
    cli.main(["cite", str(folder)])
    both = capsys.readouterr().out
    assert both.startswith("We inferred mass and spin by simulation-based inference (Cranmer")
    cli.main(["cite", str(folder), "--latex"])
    assert r"\citep{cranmer2020}" in capsys.readouterr().out
    cli.main(["cite", str(folder), "--bibtex"])
    assert capsys.readouterr().out == both.partition("\n\n")[2]


def test_a_citation_file_is_whole_and_of_this_version() -> None:
    told = yaml.safe_load(shipped.CITATION.read_text())
    assert set(told) >= {"cff-version", "message", "title", "authors"}  # the schema requires these
    assert told["cff-version"] == "1.2.0"
    assert told["type"] in ("software", "dataset")
    assert all(set(each) & {"name", "family-names"} for each in told["authors"])
    assert told["version"] == __version__
    assert told["license"] == "MIT"


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_commits_are_those_of_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        done = subprocess.run(
            ["git", "-C", tmp_path, *who, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    assert provenance.of_folder(tmp_path) == ""
    git("init", "--quiet")
    assert provenance.of_folder(tmp_path) == ""
    (tmp_path / "config.yaml").write_text("a")
    git("add", "config.yaml")
    git("commit", "--quiet", "-m", "a")
    commit = git("rev-parse", "HEAD")
    (tmp_path / "results").mkdir()
    (tmp_path / "results/page").write_text("not known to git")
    assert provenance.of_folder(tmp_path) == commit
    (tmp_path / "config.yaml").write_text("b")
    assert provenance.of_folder(tmp_path) == f"{commit} with uncommitted changes"
    monkeypatch.chdir(tmp_path)
    assert provenance.commits()["this study, commit"].startswith(commit)
    monkeypatch.setenv("PATH", "")
    assert provenance.of_folder(tmp_path) == ""
