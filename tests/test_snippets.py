"""The lines that config/README.md and docs/cluster.md show: every block is checked as what it is.

Blocks of YAML are parts of a configuration and are held against its schema; commands must have the
options that they are given; modules must be Python. A block that is nothing of these is a failure.
External links have the form that their site gives them; whether they answer is not asked.
"""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml
from snakemake.cli import get_argument_parser

from sbi_pipeline import cli, shipped
from sbi_pipeline.head import main as head
from sbi_pipeline.study.files import read

ROOT = Path(__file__).parents[1]
PAGES = ("config/README.md", "docs/cluster.md")
SHELL = ("git", "python3", "cp", "tail", "kill")
"""Programs of the system that are named, with files of the reader's own."""
COMMANDS = ("snakemake", "sbi-pipeline", "pip", *SHELL)
PLUGINS = ("--cluster-generic-",)
"""How options begin of executors of Snakemake that are not installed here."""


def blocks(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and content of each block of a page, fenced or indented by four."""
    for found in re.finditer(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield text[: found.start()].count("\n") + 1, found[1]
    for found in re.finditer(r"(?<=\n\n)(?: {4}.*\n|\n+(?= {4}))+", text):
        content = "".join(line[4:] for line in found[0].splitlines(keepends=True))
        yield text[: found.start()].count("\n") + 1, content


BLOCKS = [(page, *block) for page in PAGES for block in blocks((ROOT / page).read_text())]


def lenient(schema: Any) -> Any:
    """Return a schema for parts: nothing is required of what is there."""
    if isinstance(schema, list):
        return [lenient(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    left_out = {"required", "allOf", "oneOf", "minProperties"}
    return {key: lenient(each) for key, each in schema.items() if key not in left_out}


WHOLE = lenient(yaml.safe_load(shipped.SCHEMA.read_text()))
CAMPAIGN = WHOLE["properties"]["campaigns"]["additionalProperties"]
PRIORS = CAMPAIGN["properties"]["priors"]


def numbers_of_yaml(text: str) -> dict[str, Any]:
    """Return a mapping as a configuration is read, with numbers such as 1e-3."""
    with NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        return read([file.name]).values


def check_yaml(text: str) -> bool:
    """Hold a part of a configuration against the schema; say whether it is one."""
    shown = re.sub(r", …(?=})|^\s*…$", "", text, flags=re.MULTILINE)
    try:
        part = numbers_of_yaml(shown)
    except ValueError:
        return False
    if set(part) == {"jobqueue"}:  # of dask-jobqueue
        assert set(part["jobqueue"]) == {"slurm"}
        return True
    schemas = [each for each in (WHOLE, CAMPAIGN) if set(part) <= set(each["properties"])]
    jsonschema.validate(part, schemas[0] if schemas else PRIORS)
    return True


def check_command(line: str) -> bool:
    """Hold a command against what it can be given; say whether it is one."""
    program, *given = shlex.split(line, comments=True)
    if program == "snakemake":
        known = get_argument_parser()._option_string_actions
        options = [each.partition("=")[0] for each in given if each.startswith("-")]
        assert not [each for each in options if each not in known and not each.startswith(PLUGINS)]
    elif program == "sbi-pipeline" and given[0] == "head":
        with pytest.raises(SystemExit, match="0"):
            head([*given[1:], "--help"])
    elif program == "sbi-pipeline":
        cli._parser().parse_args(given)
    elif program == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        wanted = [name for each in given for name in re.findall(r"\[(\w+)\]", each)]
        assert set(wanted) <= set(extras["optional-dependencies"])
    else:
        return program in SHELL
    return True


def is_python(text: str) -> bool:
    try:
        parsed = ast.parse(text).body
    except SyntaxError:
        return False
    return isinstance(parsed[0], ast.ClassDef | ast.FunctionDef | ast.Import | ast.ImportFrom)


def check(text: str) -> bool:
    """Check a block as what it is; say whether it is anything."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    commands = [line for line in lines if line.split()[0] in COMMANDS]
    rest = "\n".join(line for line in lines if line not in commands)
    return all(map(check_command, commands)) and (not rest or check_yaml(rest) or is_python(rest))


@pytest.mark.parametrize(("page", "line", "text"), BLOCKS, ids=[f"{p}:{n}" for p, n, _ in BLOCKS])
def test_a_block_is_right(page: str, line: int, text: str) -> None:
    assert check(text)


def test_there_are_blocks_of_every_kind() -> None:
    first = {page: [text.split()[0] for each, _, text in BLOCKS if each == page] for page in PAGES}
    assert {"campaigns:", "class", "snakemake", "refine:"} <= set(first["config/README.md"])
    assert {"git", "snakemake", "sbi-pipeline", "jobqueue:"} <= set(first["docs/cluster.md"])


@pytest.mark.parametrize(
    "text",
    [
        "campaigns:\n  a: {simulatons: 5}\n",
        "observations:\n  a: {fil: x.csv}\n",
        "mass: {type: gaussian, mean: 0}\n",
        "mass: {table: samples.csv, colum: m}\n",
        "sbi-pipeline clean --remove\n",
        "snakemake --dryrun-please\n",
        "pip install 'sbi-pipeline[gpu]'\n",
        "what is this\n",
    ],
)
def test_a_wrong_block_is_found(text: str) -> None:
    try:
        right = check(text)
    except (AssertionError, SystemExit, jsonschema.ValidationError):
        right = False
    assert not right


FORMS = {
    "arxiv.org": r"/(abs|pdf)/(\d{4}\.\d{4,5}(v\d+)?|[a-z-]+/\d{7})",
    "doi.org": r"/10\.\d{4,9}/\S+",
    "pypi.org": r"/project/[A-Za-z0-9._-]+/?",
    "github.com": r"/[\w-]+/[\w.-]+(/\S*)?",
}
"""Of the paths of links, by site; other sites have none that is known."""


def external_links() -> Iterator[tuple[str, str]]:
    """Yield the file and address of every external link of the documentation and docstrings."""
    folders = ("docs", "config", "benchmarks", "examples", "sbi_pipeline", "containers")
    files = [*ROOT.glob("*.md"), ROOT / "CITATION.cff"]
    for folder in folders:
        for ending in ("md", "py", "bib", "ipynb"):
            files += (ROOT / folder).rglob(f"*.{ending}")
    for path in files:
        for found in re.findall(r"https?://[^\s<>\"'`|{}\\]+", path.read_text()):
            address = re.sub(r"[.,;:]+$", "", found)
            while address.endswith(")") and address.count(")") > address.count("("):
                address = re.sub(r"[.,;:]+$", "", address[:-1])
            yield path.relative_to(ROOT).as_posix(), address


def test_external_links_have_the_form_of_their_site() -> None:
    wrong, seen = [], set()
    for path, address in external_links():
        parts = urlsplit(address)
        host = (parts.hostname or "").removeprefix("www.")
        form = FORMS.get(host)
        seen.add(host)
        local = host in ("127.0.0.1", "localhost", "")
        if not local and ("." not in host or (form and not re.fullmatch(form, parts.path))):
            wrong.append(f"{path}: {address}")
    assert not wrong
    assert {"arxiv.org", "doi.org"} <= seen
