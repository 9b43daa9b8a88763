"""A stage as a job: its arguments put together and checked, its log, its specification written."""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
import sys
import typing
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from .. import fingerprint, progress, registry
from ..sidecars import is_made, write_beside, write_text
from ..startup import uncollected

logger = logging.getLogger(__name__)

FORMAT = "%(asctime)s %(levelname)s %(message)s"
CHATTY = ("arviz", "distributed", "fontTools")
"""Libraries whose logs say nothing that helps."""
ANNOUNCEMENT = r"\s*ArviZ is undergoing a major refactor"
"""Of ArviZ 0.23, to every process that imports it: modules of users may, this package does not."""


def run_stage(
    rule: str,
    *,
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    params: Mapping[str, Any],
    threads: int,
    log: Path,
    near: Path | None = None,
) -> None:
    """Run the stage of one job; a problem is one line on the terminal and a traceback in the log.

    Args:
        rule: Name of the rule, which ends with that of the stage.
        inputs: Paths by keyword of the rule.
        outputs: Paths by keyword; ``spec`` is written here, when all else is there.
        params: Arguments by name; ``spec`` is the specification of the result, or of a batch that
            serves many observations (`study.batches`).
        threads: Threads of the job.
        log: The log file.
        near: A folder into which simulations are copied before they are read.
    """
    terminal = start_logging(log)
    name = max(filter(rule.endswith, registry.STAGES), key=len)
    try:
        with progress.reported(log, name, str(outputs.get("spec", ""))):
            run_planned(name, inputs, outputs, params, threads, near)
    except (ValueError, OSError) as error:  # OSError: no space, no right to write, no such file
        logging.getLogger().removeHandler(terminal)
        logging.exception("%s failed", name)
        sys.exit(f"{name}: {error} (more in {log})")


def run_planned(
    name: str,
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    params: Mapping[str, Any],
    threads: int,
    near: Path | None = None,
) -> None:
    """Run a stage, then write its specification; arguments as of `run_stage`.

    Raises:
        ValueError: The stage failed.
        OSError: It could not read or write.
    """
    outputs, params = dict(outputs), dict(params)
    spec, beside = dict(params.pop("spec", {})), outputs.pop("spec", None)
    follows = spec.pop("follows", [])
    given = {**inputs, **outputs, **params}
    with uncollected():
        stage = registry.load_part(name, registry.STAGES)
    if "members" in spec:
        run_members(stage, spec["members"], given, threads)
        if str(beside) != spec["members"][0]["path"]:
            write_text(beside, json.dumps(spec["receipt"], indent=1) + "\n")
        return
    check_unedited(spec.get("contents", {}), spec.get("arguments", {}))
    offered = {"threads": threads, "key": spec.get("key"), "inputs": spec.get("inputs")}
    # The rule wins: of a training it gives all options, also those that are in no key.
    arguments = arguments_of(stage, {**spec.get("arguments", {}), **given}, offered)
    with ExitStack() as stack:
        if near is not None and "simulations" in inputs:
            from ..storage.staging import staged  # noqa: PLC0415 - light stages need no store

            copied = staged(inputs["simulations"], near)
            arguments["simulations"] = stack.enter_context(copied)
        stage(**arguments)
    if beside is not None:
        part = registry.STAGES[name]
        write_beside(beside, spec, outputs.values(), follows, repeatable=part.repeatable)


def run_members(
    stage: Callable[..., Iterator[Any]],
    members: Sequence[Mapping[str, Any]],
    given: Mapping[str, Any],
    threads: int,
) -> None:
    """Run a stage that serves many observations for those that are not there as planned.

    The stage takes their records as ``each`` and yields every one that it has made; what they
    have in common it takes like any other stage.
    """
    waiting = [one for one in members if not is_made(Path(one["path"]), one["spec"])]
    logger.info("%d of %d are to be made", len(waiting), len(members))
    if not waiting:
        logger.info("to make one anew that is there as planned, delete it")
        return
    (record,) = typing.get_args(typing.get_type_hints(stage)["each"])
    own = {field.name for field in dataclasses.fields(record)}
    each = [_member(record, own, one) for one in waiting]
    # What is not the observations' own is the same for all of them.
    common = {**given, **waiting[0]["spec"]["arguments"]}
    shared = {key: value for key, value in common.items() if key not in own}
    arguments = arguments_of(stage, {"each": each, **shared}, {"threads": threads})
    with progress.counting("observations", len(each)) as counter:
        for made in stage(**arguments):
            one = waiting[each.index(made)]
            writes = map(Path, one["writes"].values())
            write_beside(Path(one["path"]), one["spec"], writes, one["follows"])
            counter.update()


def _member(record: type[Any], own: Collection[str], one: Mapping[str, Any]) -> Any:
    """Return one observation's share of a job as the record that its stage takes."""
    spec = one["spec"]
    check_unedited(spec["contents"], spec["arguments"])
    files = {key: Path(file) for key, file in {**one["reads"], **one["writes"]}.items()}
    Path(one["path"]).parent.mkdir(parents=True, exist_ok=True)
    values = {**spec["arguments"], "key": spec["key"], "inputs": spec["inputs"]}
    return record(**files, **{key: value for key, value in values.items() if key in own})


def check_unedited(contents: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Refuse to run code or take files of the user's that are not those this run was planned with.

    Args:
        contents: Of the specification.
        arguments: Of the specification.

    Raises:
        ValueError: One was edited; the next run plans with it as it is then.
    """
    for name, planned in contents.items():
        kind, _, target = name.partition(" ")
        if kind == "rows":
            continue  # of existing simulations: the stage that imports them looks after its own
        if isinstance(planned, Mapping):
            found: Any = dict(fingerprint.sources(target).modules)
        elif kind == "file":
            found = fingerprint.of_file(Path(target))
        elif kind == "table":
            found = _of_table(arguments["layout"])
        else:
            continue
        if found != planned:
            raise ValueError(
                f"{target} was edited after this run was planned; run snakemake again, which plans "
                "with it as it is"
            )


def _of_table(layout: Mapping[str, Any]) -> str:
    """Return the fingerprint of a table of objects and of the files that it names."""
    from ..catalogues import Layout, files_of  # noqa: PLC0415 - other stages read no table

    return fingerprint.of_files(files_of(Layout(**layout)))


class OneLine(logging.Formatter):
    """Leaves out tracebacks, which are for the log."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line = logging.makeLogRecord({**record.__dict__, "exc_info": None, "exc_text": None})
        return super().format(line)


def start_logging(log: Path) -> logging.Handler:
    """Log to a file and to the terminal, there without tracebacks; returns its handler."""
    terminal = logging.StreamHandler()
    terminal.setFormatter(OneLine(FORMAT))
    terminal.addFilter(progress.beside_a_bar)
    logging.basicConfig(
        level=logging.INFO,
        format=FORMAT,
        handlers=[logging.FileHandler(log, mode="w"), terminal],
    )
    logging.captureWarnings(True)
    warnings.filterwarnings("ignore", ANNOUNCEMENT, FutureWarning)
    logging.raiseExceptions = False  # a log on a full disk must not hide what went wrong
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    return terminal


def arguments_of(
    stage: Callable[..., Any], given: Mapping[str, Any], offered: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a stage, mappings made into the records it asks for.

    Args:
        stage: The stage.
        given: Arguments by name.
        offered: Further ones, which it need not take.

    Raises:
        ValueError: It does not know one of those given, or lacks one.
    """
    known = inspect.signature(stage).parameters
    if unknown := sorted(set(given) - set(known)):
        raise ValueError(f"does not know {', '.join(unknown)}; it takes {', '.join(known)}")
    arguments = {**{key: offered[key] for key in offered if key in known}, **given}
    needed = [name for name, each in known.items() if each.default is inspect.Parameter.empty]
    if missing := [name for name in needed if name not in arguments]:
        raise ValueError(f"lacks {', '.join(missing)}; it was given {', '.join(sorted(given))}")
    types = typing.get_type_hints(stage)
    return {name: _record(types[name], value) for name, value in arguments.items()}


def _record(wanted: Any, value: Any) -> Any:
    """Return a mapping as the record that is wanted, a text as the path; anything else as it is."""
    options = [wanted, *typing.get_args(wanted)]  # of "Record | None" too
    if Path in options:
        return [Path(each) for each in value] if isinstance(value, list) else Path(value)
    records = [
        each for each in options if isinstance(each, type) and dataclasses.is_dataclass(each)
    ]
    if records and isinstance(value, Mapping):
        try:
            return records[0](**value)
        except TypeError as error:
            raise ValueError(f"{records[0].__name__}: {error}") from error
    return value
