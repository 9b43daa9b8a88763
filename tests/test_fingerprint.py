import ast
import hashlib

import numpy as np
import pytest

from sbi_pipeline.fingerprint import canonical, digest, of_file, sources, syntax

SIMULATOR = '''"""A simulator."""
import numpy as np
from typing import TYPE_CHECKING
from physics.waves import amplitude
if TYPE_CHECKING:
    from physics import hints

class Simulator:
    """Its docstring."""
    def __call__(self, parameters, rng):
        # a comment
        return amplitude(parameters) + rng.normal(size=3)
'''
WAVES = "from . import constants\nfrom .constants import G\n\ndef amplitude(p):\n    return G * p\n"


@pytest.fixture
def project(tmp_path):
    (tmp_path / "mine.py").write_text(SIMULATOR)
    physics = tmp_path / "physics"
    physics.mkdir()
    (physics / "__init__.py").write_text("version = 1\n")
    (physics / "waves.py").write_text(WAVES)
    (physics / "constants.py").write_text("G = 6.67e-11\n")
    (physics / "hints.py").write_text("A = 1\n")
    (physics / "other.py").write_text("B = 1\n")
    return tmp_path


def mark(folder):
    return digest(sources("mine:Simulator", [folder]).modules)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("mine.py", "# a comment", "# another\n\n        # and more"),
        ("mine.py", "A simulator.", "The simulator."),
        ("mine.py", "Its docstring.", "Another docstring."),
        ("mine.py", "amplitude(parameters) +", "amplitude( parameters )  +"),
        ("mine.py", "    ", "  "),
        ("mine.py", "amplitude(parameters) +", "(amplitude(\n  parameters,\n)) +"),
        ("physics/constants.py", "6.67e-11", "66.7e-12"),
        ("physics/waves.py", "def", "# here\ndef"),
        ("physics/hints.py", "A = 1", "A = 2"),
        ("physics/other.py", "B = 1", "B = 2"),
        ("physics/__init__.py", "version = 1", "version = 2"),
    ],
)
def test_what_changes_nothing(project, file, old, new):
    before = mark(project)
    text = (project / file).read_text()
    assert old in text
    (project / file).write_text(text.replace(old, new))
    assert mark(project) == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("mine.py", "size=3", "size=4"),
        ("mine.py", "amplitude(parameters)", "amplitude(parameters[::-1])"),
        ("mine.py", "# a comment", '"in use".strip()'),
        ("physics/waves.py", "G * p", "G + p"),
        ("physics/constants.py", "6.67", "6.68"),
    ],
)
def test_what_changes_what_is_simulated(project, file, old, new):
    before = mark(project)
    text = (project / file).read_text()
    assert old in text
    (project / file).write_text(text.replace(old, new))
    assert mark(project) != before


FORMATTED = r"""
def say(value: float, *rest) -> str:
    'Its docstring.'
    return f"{value:.{len(rest)}f} and {rest!r}" f"" "more" + rf'\d{value=}'
"""


def test_no_version_of_python_makes_another_fingerprint():
    """3.11, 3.12 and 3.13 gave this hash."""
    tree = ast.parse(FORMATTED)
    plain = list(syntax(tree))
    assert hashlib.sha256("\0".join(plain).encode()).hexdigest()[:16] == "7201daff2d6f93e5"
    function = tree.body[0]
    # What 3.12 adds to every function, and puts into some f-strings.
    newer = type("FunctionDef", (ast.FunctionDef,), {"_fields": (*function._fields, "type_params")})
    tree.body[0] = newer(**{name: getattr(function, name) for name in function._fields})
    tree.body[0].type_params = []
    (joined,) = (node for node in ast.walk(tree) if isinstance(node, ast.BinOp))
    joined.left.values.insert(1, ast.Constant(""))
    assert list(syntax(tree)) == plain


def test_moving_the_project_changes_nothing(project, tmp_path_factory):
    before = mark(project)
    moved = tmp_path_factory.mktemp("elsewhere") / "deep" / "er"
    moved.parent.mkdir()
    project.rename(moved)
    assert mark(moved) == before


@pytest.mark.parametrize(
    ("test", "followed"),
    [("TYPE_CHECKING", True), ("not TYPE_CHECKING", False), ("typing.TYPE_CHECKING", True)],
)
def test_what_is_executed_in_place_of_annotations_counts(project, test, followed):
    branches = f"if {test}:\n    import physics.hints\nelse:\n    import physics.other\n"
    (project / "mine.py").write_text(branches)
    found = set(sources("mine:Simulator", [project]).modules)
    assert ("physics.hints" in found) is not followed
    assert "physics.other" in found


def test_files_count_by_their_bytes(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("1,2\n")
    before = of_file(table)
    table.touch()
    assert of_file(table) == before
    table.write_text("1,3\n")
    assert of_file(table) != before
    with pytest.raises(ValueError, match=r"file .*none does not exist"):
        of_file(tmp_path / "none")


def test_sources_name_the_modules_that_count(project):
    found = sources("mine:Simulator", [project])
    assert set(found.modules) == {"mine", "physics.waves", "physics.constants"}
    assert found.package == set()


def test_this_package_is_named_and_its_source_does_not_count(project):
    text = (project / "mine.py").read_text()
    (project / "mine.py").write_text(f"from sbi_pipeline.simulators.program import Program\n{text}")
    found = sources("mine:Simulator", [project])
    assert set(found.modules) == {"mine", "physics.waves", "physics.constants"}
    assert found.package == {"sbi_pipeline.simulators.program"}


def test_missing_module_and_wrong_python_say_so(project):
    with pytest.raises(ValueError, match=r"'nowhere' not found in .*call from the folder"):
        sources("nowhere:X", [project])
    (project / "mine.py").write_text("def broken(:\n")
    with pytest.raises(ValueError, match=r"mine\.py is not valid Python"):
        mark(project)


def test_canonical_is_the_same_for_equal_values():
    assert canonical({"b": 1.0e-3, "a": [1.0, True, None]}) == '{"a":[1,true,null],"b":0.001}'
    assert digest({"a": 1, "b": (2,)}) == digest({"b": [2.0], "a": 1.0})
    assert digest({"a": True}) != digest({"a": 1})
    assert len(digest(0)) == 16


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": {"b": [1, np.float32(2)]}}, r"value\.a\.b\[1\] is .*float32"),
        ({"a": float("nan")}, r"value\.a is nan"),
        ({1: 2}, "value has the key 1"),
        ({"a": object}, r"value\.a is .* of type type"),
    ],
)
def test_canonical_says_what_it_cannot_write(value, message):
    with pytest.raises(ValueError, match=message):
        canonical(value)
