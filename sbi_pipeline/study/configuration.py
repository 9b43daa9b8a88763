"""A configuration: read, checked as a whole, and its sweeps expanded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .binding import Binding, InconsistentError, Refusal, may_change
from .files import FALSE, TRUE, ConfigurationError, Written, read
from .schema import Config, Configuration
from .signatures import record_of
from .sweeps import check_names, expanded


def load_configuration(
    files: Sequence[str | Path], overrides: Config | None = None, check: bool = True
) -> dict[str, Any]:
    """Read the configuration of a study.

    Args:
        files: Paths of YAML files, each over those before it.
        overrides: What ``snakemake --config`` was given, over all of them; with ``quick: true``
            what stands under ``if_quick`` comes over the rest.
        check: Whether all is checked, which takes seconds. Without it only the form is: what comes
            out is the same.

    Returns:
        What was written, numbers as numbers, with a campaign and an estimator for each member of a
        sweep. Nothing is filled in.

    Raises:
        ConfigurationError: One line for each thing that is wrong: file and line, what it is of,
            what it is, and what was expected.
    """
    return _finished(read(files, overrides), check)


def take_configuration(config: Config, check: bool = True) -> dict[str, Any]:
    """Take a configuration that comes from no file of ours, see `load_configuration`."""
    return _finished(Written(dict(config)), check)


def _finished(written: Written, check: bool) -> dict[str, Any]:
    rest, smaller = written.without("if_quick")
    rest, quick = rest.without("quick")
    asked = Binding()
    if smaller is not None and not isinstance(smaller.values, Mapping):
        asked.wrong(("if_quick",), "wanted a mapping, in the form of all the rest")
        _refuse(asked.problems, written)
    is_quick = "false" if quick is None else str(quick.values).lower()  # `--config` gives texts
    if is_quick not in (*TRUE, *FALSE):
        asked.wrong(("quick",), f"got {is_quick!r}; wanted true or false")
        _refuse(asked.problems, written)
    variant = None if smaller is None else rest.updated(smaller)
    if variant is not None and is_quick in TRUE:
        rest, variant = variant, None
    config, problems = bound(rest, check)
    lines = [problem.line(rest) for problem in problems]
    if variant is not None and check:
        lines += [problem.line(variant) for problem in bound(variant, check)[1]]
    _refuse_lines(lines)
    if check:
        _refuse(_inconsistencies(config), rest)
    whole = expanded(config)
    _refuse(check_names(config, whole), rest)
    return whole


def bound(written: Written, check: bool) -> tuple[dict[str, Any], list[Refusal]]:
    """Bind a configuration to what takes it; return it and what is wrong.

    Args:
        written: The configuration.
        check: Whether options are bound also where what takes them must be imported first.
    """
    binding = Binding(thorough=check)
    record = record_of(Configuration, "a configuration", 0, {})
    config = binding.record(record, written.values, ())
    if binding.problems:
        return config, binding.problems
    if check:
        config = _with_late(binding, config)
    elif may_change(
        _bound_late(config)
    ):  # what comes out must not depend on whether problems are asked for
        config = _with_late(Binding(), config)
    return config, binding.problems


def _bound_late(config: Config) -> list[Any]:
    """Return the options whose takers depend on what an estimator is, or must be imported."""
    late = [config.get("calibration", {}), config.get("thresholds", {})]
    for entry in config["estimators"].values():
        late += [entry.get("sampler", {}), entry.get("training", {}).get("grid")]
    return late + [sweep.get("network", {}) for sweep in config.get("sweeps", {}).values()]


def _with_late(binding: Binding, config: Config) -> dict[str, Any]:
    """Return a configuration with those options bound."""
    from . import methods, thresholds  # noqa: PLC0415 - torch takes seconds

    made = dict(config)
    made["estimators"] = {
        name: methods.bind_estimator(binding, entry, ("estimators", name))
        for name, entry in config["estimators"].items()
    }
    if "calibration" in config:
        used = [entry["method"] for entry in config["estimators"].values()]
        made["calibration"] = methods.bind_calibration(binding, config["calibration"], used)
    if "sweeps" in config:
        made["sweeps"] = {
            name: methods.bind_sweep(binding, config, sweep, ("sweeps", name))
            for name, sweep in config["sweeps"].items()
        }
    if "thresholds" in config:
        made["thresholds"] = thresholds.bind_thresholds(binding, config["thresholds"])
    return made


def _inconsistencies(config: Config) -> Iterator[Refusal]:
    from . import consistency  # noqa: PLC0415 - torch takes seconds

    checks = [
        *((consistency.check_campaign, name) for name in config["campaigns"]),
        *((consistency.check_sweep, name) for name in config.get("sweeps", {})),
        *((consistency.check_refinement, name) for name in config.get("refine", {})),
    ]
    for check, name in checks:
        try:
            check(name, config)
        except InconsistentError as error:
            yield Refusal(error.keys, str(error))


def _refuse(problems: Iterable[Refusal], written: Written) -> None:
    _refuse_lines([problem.line(written) for problem in problems])


def _refuse_lines(lines: Sequence[str]) -> None:
    if lines:
        raise ConfigurationError("\n".join(dict.fromkeys(lines)))
