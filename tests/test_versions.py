"""A change of what a version covers asks for a decision; nothing else does."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import versions

from sbi_pipeline.registry import Part

FILES = {
    "__init__.py": "",
    "low.py": '''
import logging
log = logging.getLogger(__name__)
SCALE: float = 2.0

def scaled(x: float) -> float:
    """Scale it."""
    log.info("scaling %s", x)
    if x < 0:
        raise ValueError(f"x is {x}")
    return SCALE * x

def unused(x):
    return x
''',
    "door.py": "from .low import scaled as through\n",
    "high.py": """
from . import door, low
from .place import address

class Method:
    def go(self, x):
        return door.through(x) + 1

def stage(x):
    address(x)
    return Method().go(low.unused(x))
""",
    "place.py": "def address(x):\n    return x\n",
}
TABLES = {"method": {"m": Part("toy.high:Method", 1)}, "stage": {"s": Part("toy.high:stage", 1)}}


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    (tmp_path / "toy").mkdir()
    for name, text in FILES.items():
        (tmp_path / "toy" / name).write_text(text)
    return tmp_path


def now(folder: Path, tables: Any = None) -> versions.Lock:
    package = versions.Package(folder, "toy", ("place",))
    return versions.current(package, tables or TABLES)


def edit(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / "toy" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_the_lock_of_this_package_is_held() -> None:
    lock = json.loads(versions.LOCK.read_text())
    found = versions.problems(lock, versions.of_this_package())
    hint = (
        "raise a version in sbi_pipeline/registry.py if results change, then make lock REASON=..."
    )
    assert not found, "\n".join([*found, hint])
    assert all(decision["reason"].strip() for decision in lock["decisions"])


def test_a_part_covers_what_it_reaches_but_other_parts(toy: Path) -> None:
    found = now(toy)["symbols"]
    assert set(found) == {
        "toy.high.Method",
        "toy.high.stage",
        "toy.low.scaled",
        "toy.low.unused",
        "toy.low.SCALE",
    }


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("low.py", '"""Scale it."""', '"""Scale it, twice."""'),
        ("low.py", '"scaling %s", x', '"now scaling %s", x'),
        ("low.py", "x is {x}", "x is {x}; wanted more"),
        ("low.py", "x: float) -> float", "x: int) -> int"),
        ("low.py", "SCALE: float", "SCALE: int"),
        ("low.py", "def unused", "# a comment\ndef unused"),
        ("place.py", "return x", "return 2 * x"),
        ("__init__.py", "", "def other():\n    return 3\n"),
    ],
)
def test_what_asks_for_nothing(toy: Path, file: str, old: str, new: str) -> None:
    lock = now(toy)
    edit(toy, file, old, new)
    assert versions.problems(lock, now(toy)) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "asked", "changed"),
    [
        ("low.py", "2.0", "3.0", ["method m"], "toy.low.SCALE"),
        ("low.py", "SCALE * x", "SCALE + x", ["method m"], "toy.low.scaled"),
        ("low.py", "if x < 0", "if x <= 0", ["method m"], "toy.low.scaled"),
        ("low.py", "return x", "return -x", ["stage s"], "toy.low.unused"),
        ("high.py", "low.unused(x)", "x", ["stage s"], "toy.high.stage, toy.low.unused"),
        ("high.py", "+ 1", "+ 2", ["method m"], "toy.high.Method"),
    ],
)
def test_what_asks_for_a_decision(
    toy: Path, file: str, old: str, new: str, asked: list[str], changed: str
) -> None:
    lock = now(toy)
    edit(toy, file, old, new)
    *lines, last = versions.problems(lock, now(toy))
    assert [line.split(" (")[0] for line in lines] == asked
    assert last == f"changed: {changed}"


def test_a_raised_version_is_recorded_and_then_asks_no_more(toy: Path) -> None:
    lock = now(toy)
    edit(toy, "high.py", "+ 1", "+ 2")
    raised = {**TABLES, "method": {"m": Part("toy.high:Method", 2)}}
    first, _ = versions.problems(lock, now(toy, raised))
    assert first == "method m: version 1 → 2: record it"
    assert versions.problems(now(toy, raised), now(toy, raised)) == []


def test_recording_keeps_the_reasons(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = toy / "versions.lock"
    shutil.copy(versions.LOCK, copy)
    before = json.loads(copy.read_text())["decisions"]
    monkeypatch.setattr(versions, "LOCK", copy)
    monkeypatch.setattr("sys.argv", ["versions.py", "a test"])
    versions.main()
    lock = json.loads(copy.read_text())
    assert lock["decisions"][:-1] == before
    assert lock["decisions"][-1]["reason"] == "a test"
    assert versions.problems(lock, versions.of_this_package()) == []
