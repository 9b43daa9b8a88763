"""Schema and manual of the configuration are what the signatures say."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from test_configuration_refused import TINY, network, npe, prior, sampler, training

from sbi_pipeline import registry, study
from sbi_pipeline.networks.flows import FLOWS
from sbi_pipeline.study import files, signatures
from sbi_pipeline.study.signatures import own_options

ROOT = Path(__file__).parents[1]
BUILT = [
    ROOT / "config/config.yaml",
    *sorted((ROOT / "config/studies").glob("*.yaml")),
    *sorted((ROOT / "examples").glob("*/config.yaml")),
]


@pytest.fixture(scope="module")
def documented() -> Any:
    """The module that makes both."""
    path = ROOT / "docs/configuration.py"
    found = importlib.util.spec_from_file_location("configuration_documented", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["checks", "configuration"])
def test_tables_are_made_from_their_own_checkout(name: str, tmp_path: Path) -> None:
    """Whatever package is installed, or comes first on the path."""
    (tmp_path / "sbi_pipeline").mkdir()
    (tmp_path / "sbi_pipeline/__init__.py").write_text("raise SystemExit('another checkout')")
    command = [sys.executable, "-c", f"import runpy; runpy.run_path('{ROOT}/docs/{name}.py')"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_they_are_made_from_the_signatures(documented: Any) -> None:
    """After a change of a signature: make docs."""
    assert documented.SCHEMA.read_text() == documented.schema_text()
    manual = documented.MANUAL.read_text()
    assert manual == documented.manual_text(manual)


@pytest.mark.parametrize("path", BUILT, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_checked_or_not_the_same_comes_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of Snakemake read it anew, unchecked."""
    monkeypatch.chdir(path.parent if "examples" in path.parts else ROOT)
    for quick in (False, True):
        checked, unchecked = (
            study.load_configuration([path], {"quick": quick}, each) for each in (True, False)
        )
        assert repr(checked) == repr(unchecked)


@pytest.mark.parametrize("path", BUILT, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_schema_takes_what_is_right(path: Path, validator: Any) -> None:
    assert not list(validator.iter_errors(files.read_file(path).values))


@pytest.mark.parametrize(
    "change",
    [
        network("{hiden: 6}"),
        network("{hidden: 0}"),
        network("{flow: nfs}"),
        network("{steps: 5}"),
        network("{embedding: mpl}"),
        training("{max_epoch: 3}"),
        training("{schedule: linear}"),
        sampler("{walker: 8}"),
        npe("seed: -1"),
        prior("{type: normal, mean: 0, sd: 1, min: 3}"),
        prior("{type: normal, mean: 0}"),
        prior("{type: gauss, mean: 0, sd: 1}"),
    ],
)
def test_the_schema_refuses_what_is_wrong(
    change: tuple[str, str], validator: Any, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(TINY)
    assert not list(validator.iter_errors(files.read_file(path).values))
    path.write_text(TINY.replace(*change))
    assert list(validator.iter_errors(files.read_file(path).values))


TAKERS = [
    *((name, registry.SIMULATORS, 0) for name in registry.SIMULATORS),
    *((name, registry.ESTIMATORS, 2) for name in registry.ESTIMATORS),
    *((name, registry.EMBEDDINGS, 1) for name in registry.EMBEDDINGS),
    *((name, registry.SAMPLERS, 0) for name in registry.SAMPLERS),
    *((name, FLOWS, 2) for name in FLOWS),
    ("sbi_pipeline.estimators:build", {}, 3),
    ("sbi_pipeline.choosing:learn_campaign", {}, 4),
    ("sbi_pipeline.training.fit:fit_source", {}, 3),
    ("sbi_pipeline.diagnostics.ranks:rank", {}, 3),
    ("sbi_pipeline.networks.encoders:embed", {}, 1),
    ("sbi_pipeline.estimators.nle:discrete_columns", {}, 0),
]


@pytest.mark.parametrize(("name", "table", "given"), TAKERS, ids=[name for name, *_ in TAKERS])
def test_every_option_is_annotated_and_explained(name: str, table: Any, given: int) -> None:
    taker = signatures.documented_entry(table, name) if table else registry.load_part(name, {})
    options, passes = own_options(taker, given)
    for option, each in options.items():
        assert each.annotation is not Any, option
        assert each.meaning, option
    assert passes is not None or not signatures.record_of(taker, "", given, {}).open


def test_places_are_those_of_the_entries(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("a: &a\n  x: 1\n  y: [2,\n    3]\nb:\n  <<: *a\n  x: 4\n")
    written = files.read_file(path)
    assert written.values["b"] == {"x": 4, "y": [2, 3]}
    lines = {keys: place.rpartition(":")[2] for keys, place in written.places.items()}
    assert lines["a", "y", 1] == "4"
    assert lines["b", "x"] == "7"
    assert written.place(("b", "x", "nowhere")).endswith("config.yaml:7")
