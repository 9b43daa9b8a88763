"""A stage as a job: its arguments put together and checked, its log, its specification written."""

from __future__ import annotations

import dataclasses
import gc
import inspect
import json
import logging
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from .. import fingerprint, registry
from .files import write_text

CHATTY = ("distributed", "fontTools")
"""Libraries whose logs say nothing that helps."""


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
        rule: Name of the rule; in a Snakemake module it may have a prefix.
        inputs: Paths by keyword of the rule.
        outputs: Paths by keyword; ``spec`` is written here, when all else is there.
        params: Arguments by name; ``spec`` is the specification of the result.
        threads: Threads of the job.
        log: The log file.
        near: A folder into which simulations are copied before they are read.
    """
    terminal = start_logging(log)
    name = max(filter(rule.endswith, registry.STAGES), key=len)
    outputs, params = dict(outputs), dict(params)
    spec, beside = params.pop("spec", {}), outputs.pop("spec", None)
    given = {**inputs, **outputs, **spec.get("arguments", {}), **params}
    offered = {"threads": threads, "key": spec.get("key"), "inputs": spec.get("inputs")}
    try:
        with uncollected():
            stage = registry.load_part(name, registry.STAGES)
        check_unedited(spec.get("contents", {}))
        arguments = arguments_of(stage, given, offered)
        with ExitStack() as stack:
            if near is not None and "simulations" in inputs:
                from ..storage.staging import staged  # noqa: PLC0415 - light stages need no store

                copied = staged(inputs["simulations"], near)
                arguments["simulations"] = stack.enter_context(copied)
            stage(**arguments)
        if beside is not None:
            made = sorted(str(path.relative_to(beside.parent)) for path in outputs.values())
            whole = {**spec, "outputs": made}
            write_text(beside, json.dumps(whole, indent=1, sort_keys=True) + "\n")
    except (ValueError, OSError) as error:  # OSError: no space, no right to write, no such file
        logging.getLogger().removeHandler(terminal)
        logging.exception("%s failed", name)
        sys.exit(f"{name}: {error} (more in {log})")


@contextmanager
def uncollected() -> Iterator[None]:
    """Import without Python's garbage collector, and keep it from what is there afterwards.

    While torch is imported it looks through all modules again and again, and once more when the
    process ends: up to a third of the CPU time that starting and importing take.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def check_unedited(contents: Mapping[str, Any]) -> None:
    """Refuse to run code or take files of the user's that are not those this run was planned with.

    Args:
        contents: Of the specification.

    Raises:
        ValueError: One was edited; the next run plans with it as it is then.
    """
    for name, planned in contents.items():
        kind, _, target = name.partition(" ")
        if isinstance(planned, Mapping):
            found: Any = dict(fingerprint.sources(target).modules)
        elif kind == "file":
            found = fingerprint.of_file(Path(target))
        else:
            continue
        if found != planned:
            raise ValueError(
                f"{target} was edited after this run was planned; run snakemake again, which plans "
                "with it as it is"
            )


def start_logging(log: Path) -> logging.Handler:
    """Log to a file and to the terminal; returns the terminal's handler."""
    terminal = logging.StreamHandler()
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        handlers=[logging.FileHandler(log, mode="w"), terminal],
    )
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a log on a full disk must not hide what went wrong
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    return terminal


def arguments_of(
    stage: Callable[..., None], given: Mapping[str, Any], offered: Mapping[str, Any]
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
    """Return a mapping as the record that is wanted; anything else as it is."""
    options = [wanted, *typing.get_args(wanted)]  # of "Record | None" too
    records = [
        each for each in options if isinstance(each, type) and dataclasses.is_dataclass(each)
    ]
    if records and isinstance(value, Mapping):
        try:
            return records[0](**value)
        except TypeError as error:
            raise ValueError(f"{records[0].__name__}: {error}") from error
    return value
