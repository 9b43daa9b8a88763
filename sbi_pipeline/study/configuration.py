"""A configuration: read, checked as a whole, and its sweeps expanded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .binding import Binding, InconsistentError, Refusal, dotted, may_change
from .existing import with_existing
from .files import FALSE, TRUE, ConfigurationError, Written, read
from .given_priors import priors_written_out
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
    rest, smaller = (_with_given_priors(each) for each in (rest, smaller))
    used = Quick(rest, smaller if is_quick in TRUE else None)
    config, problems = bound(used.whole, check)
    lines = [used.line(problem) for problem in problems]
    if smaller is not None and check and is_quick in FALSE:
        other = Quick(rest, smaller)
        lines += [other.line(each) for each in bound(other.whole, check)[1] if each not in problems]
    _refuse_lines(lines)
    config, missing = with_existing(config)
    _refuse_lines([used.line(problem) for problem in missing])
    if check:
        _refuse_lines([used.line(problem) for problem in _inconsistencies(config)])
    whole = expanded(config)
    _refuse_lines([used.line(problem) for problem in check_names(config, whole)])
    return whole


def _with_given_priors(written: Written | None) -> Any:
    """Return what was written with priors from files as numbers."""
    if written is None or not isinstance(written.values, Mapping):
        return written
    try:
        return replace(written, values=priors_written_out(written.values))
    except InconsistentError as error:
        raise ConfigurationError(Refusal(error.keys, str(error)).line(written)) from error


@dataclass(frozen=True)
class Quick:
    """A configuration, and what stands under ``if_quick`` where that comes over it.

    Attributes:
        rest: All but ``if_quick``.
        smaller: What stands there; None where it is not asked for.
    """

    rest: Written
    smaller: Written | None

    @property
    def whole(self) -> Written:
        """Both together."""
        return self.rest if self.smaller is None else self.rest.updated(self.smaller)

    def line(self, problem: Refusal) -> str:
        """Return a problem as a line that names the place under ``if_quick``, if it has one."""
        keys, places = problem.keys, {} if self.smaller is None else self.smaller.places
        above = next((keys[:end] for end in range(len(keys), 0, -1) if keys[:end] in places), ())
        below, text = keys[len(above) :], problem.text
        if not above or (below and len(above) == 1):  # all campaigns, or all estimators
            return problem.line(self.rest)
        if below and (place := self.rest.places.get(keys)):
            text = f"with {dotted(below)} of {place}: {text}"
        there = Refusal(("if_quick", *above), text)
        return there.line(Written({}, {there.keys: places[above]}))


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


def _inconsistencies(config: Config) -> list[Refusal]:
    # Torch takes seconds.
    from . import (  # noqa: PLC0415
        comparison_checks,
        consistency,
        counts,
        observed,
        round_checks,
    )

    checks: list[Callable[[Config], None]] = [
        *(partial(consistency.check_campaign, name) for name in config["campaigns"]),
        *(partial(round_checks.check_rounds, name) for name in config["campaigns"]),
        *(partial(consistency.check_sweep, name) for name in config.get("sweeps", {})),
        *(partial(consistency.check_refinement, name) for name in config.get("refine", {})),
        *(partial(counts.check_recalibration, name) for name in config.get("refine", {})),
        consistency.check_predictive,
        consistency.check_posterior_calibration,
        observed.check_kinds,
    ]
    found = list(filter(None, (_inconsistency(check, config) for check in checks)))
    if found:
        return found
    last: list[Callable[[Config], None]] = [  # they ask what campaigns that make sense are
        counts.check_calibration,
        *(
            partial(comparison_checks.check_comparison, name)
            for name in config.get("comparisons", {})
        ),
    ]
    return list(filter(None, (_inconsistency(check, config) for check in last)))


def _inconsistency(check: Callable[[Config], None], config: Config) -> Refusal | None:
    """Return what a check refuses."""
    try:
        with np.errstate(all="ignore"):  # what is not finite is refused
            check(config)
    except InconsistentError as error:
        return Refusal(error.keys, str(error))
    return None


def _refuse(problems: Iterable[Refusal], written: Written) -> None:
    _refuse_lines([problem.line(written) for problem in problems])


def _refuse_lines(lines: Sequence[str]) -> None:
    if lines:
        raise ConfigurationError("\n".join(dict.fromkeys(lines)))
