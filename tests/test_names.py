"""A public name means one thing in the whole package."""

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "sbi_pipeline"
# Each with its reason; one that is no exception any longer makes the test fail.
ALLOWED = {
    "build": "`priors.build` and `estimators.build` say what; a stage is named after its rule",
    "Layout": "of a table of objects, and of the chunks of a shard; no module knows both",
    "main": "the entry points of two programs",
}


def definitions(package):
    """Return the modules that define each public function or class, by its name."""
    found = defaultdict(set)
    for path in package.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            is_definition = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            if is_definition and not node.name.startswith("_"):
                found[node.name].add(path.relative_to(package).as_posix())
    return found


def with_two_meanings(package):
    return {name: places for name, places in definitions(package).items() if len(places) > 1}


def test_a_public_name_is_defined_once():
    found, known = with_two_meanings(PACKAGE), set(ALLOWED)
    new = {name: sorted(places) for name, places in found.items() if name not in known}
    assert not new, f"rename one of each: {new}"
    assert not known - set(found), "take out of the lists above what is defined once"


def test_a_second_meaning_is_found(tmp_path):
    (tmp_path / "one.py").write_text("def draw(): ...\ndef _help(): ...\nclass Row: ...\n")
    (tmp_path / "below").mkdir()
    (tmp_path / "below/two.py").write_text("class draw: ...\ndef _help(): ...\n")
    assert with_two_meanings(tmp_path) == {"draw": {"one.py", "below/two.py"}}
