"""A study run from Python, stage by stage, without Snakemake.

study = sbi_pipeline.Study({"campaigns": {...}, "estimators": {...}})
study.make("train")
posterior = sbi_pipeline.load("results/on_off/npe/estimator.pt")
study.make("report")

What a stage makes has the same specification as in the workflow, so `snakemake` with the same
configuration has nothing to do afterwards, and the other way round. `tests/test_by_hand.py` holds
the files below against the rules in ``workflow/rules``.
"""

from __future__ import annotations

import importlib
import itertools
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import fingerprint, study
from .registry import pick
from .stages.job import run_planned
from .study import Jobs, Plan
from .study.places import RESULTS


class Names(dict[str, str]):
    """What stands for the wildcards of a rule, by name."""

    def __getattr__(self, name: str) -> str:
        """Return one of them."""
        return self[name]


Asked = Callable[[Jobs, Names], Any]
"""What is asked of the jobs of a plan, as a rule asks it."""


@dataclass(frozen=True)
class Rule:
    """What a stage reads, writes and is told beside its specification.

    Attributes:
        spec: Where the specification of what it makes is written, or the receipt of a job that
            serves many observations; with the names of wildcards, as are all patterns.
        reads: Files by keyword: patterns, or what is asked of the jobs.
        writes: Patterns by keyword.
        told: Further arguments.
    """

    spec: str
    reads: Mapping[str, str | Asked] = field(default_factory=dict)
    writes: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, Asked] = field(default_factory=dict)

    def matched(self, path: str) -> Names | None:
        """Return the names in a path of this rule; None for one of another."""
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.spec))
        found = re.fullmatch(pattern, path)
        return None if found is None else Names(found.groupdict())


def _of_estimators(pattern: str) -> Asked:
    return lambda jobs, names: jobs.of_estimators(pattern)(names)


def _of_reported(pattern: str) -> Asked:
    return lambda jobs, names: jobs.of_reported(pattern)(names)


def _ledgers(jobs: Jobs, names: Names) -> Path:
    return Path(RESULTS, "simulations")


SHARD = "results/simulations/{simulation}"
FIT = "results/{campaign}/{estimator}"
DRAWN = "results/{campaign}/{trained}"
SIMULATED: Mapping[str, Asked] = {
    "limits": Jobs.limits,
    "effort": Jobs.effort,
    "block_size": Jobs.block_size,
    "ledgers": _ledgers,
}
"""What a stage is told that simulates at draws of posteriors."""

RULES: Mapping[str, Rule] = {
    "observe": Rule(
        "results/{campaign}/observe-{part}.json",
        told={"limits": Jobs.limits, "networks": Jobs.networks},
    ),
    "sample_prior": Rule(
        f"{SHARD}/prior-{{shard}}.spec.json",
        reads={"first": Jobs.first_of_table},
        writes={"prior": f"{SHARD}/prior-{{shard}}.zarr"},
        told={
            "campaign_rows": lambda jobs, names: jobs.of_shard(names).rows,
            "learners": Jobs.learners,
        },
    ),
    "simulate": Rule(
        f"{SHARD}/shard-{{shard}}.spec.json",
        reads={"prior": f"{SHARD}/prior-{{shard}}.zarr"},
        writes={"receipt": f"{SHARD}/shard-{{shard}}.json"},
        told={
            "limits": Jobs.limits,
            "effort": Jobs.effort,
            "campaign_rows": lambda jobs, names: jobs.of_shard(names).rows,
        },
    ),
    "import_rows": Rule(
        f"{SHARD}/shard-{{shard}}.spec.json",
        writes={"receipt": f"{SHARD}/shard-{{shard}}.json"},
        told={"effort": Jobs.effort},
    ),
    "manifest": Rule(
        "results/{campaign}/manifest.spec.json",
        reads={"receipts": Jobs.receipts},
        writes={"simulations": "results/{campaign}/simulations.json"},
    ),
    "train": Rule(
        f"{FIT}/train.spec.json",
        reads={"simulations": "results/{campaign}/simulations.json"},
        writes={
            "estimator": f"{FIT}/estimator.pt",
            "header": f"{FIT}/estimator.json",
            "history": f"{FIT}/history.csv",
        },
        told={"training": Jobs.training},
    ),
    "calibrate": Rule(
        f"{DRAWN}/calibrate.spec.json",
        reads={
            "simulations": Jobs.held_out,
            "estimator": f"{DRAWN}/estimator.pt",
            "proposals": Jobs.calibration_proposals,
        },
        writes={"calibration": f"{DRAWN}/calibration.nc"},
    ),
    "learn_nuisances": Rule(
        "results/{campaign}/learn_nuisances.spec.json",
        reads={"simulations": "results/{campaign}/simulations.json"},
        writes={
            "nuisances": "results/{campaign}/nuisances.pt",
            "nuisance_ranks": "results/{campaign}/nuisance_ranks.nc",
        },
    ),
    "sample": Rule(
        f"{DRAWN}/sample-{{part}}.json",
        reads={"estimator": f"{DRAWN}/estimator.pt", "proposals": Jobs.proposals},
    ),
    "diagnose": Rule(
        f"{FIT}/diagnose-{{part}}.json",
        reads={"nuisances": Jobs.nuisances, "estimators": Jobs.scoring},
        told=SIMULATED,
    ),
    "posterior_sbc": Rule(
        f"{DRAWN}/posterior_sbc-{{part}}.json",
        reads={"estimator": f"{DRAWN}/estimator.pt"},
        told=SIMULATED,
    ),
    "report": Rule(
        "results/{campaign}/report.spec.json",
        reads={
            "simulations": "results/{campaign}/simulations.json",
            "headers": _of_estimators(f"{FIT}/estimator.json"),
            "histories": _of_estimators(f"{FIT}/history.csv"),
            "calibrations": _of_estimators(f"{FIT}/calibration.nc"),
            "nuisance_ranks": Jobs.nuisance_ranks,
        },
        writes={
            "report": "results/{campaign}/report.html",
            "verdict": "results/{campaign}/verdict.json",
            "figures": "results/{campaign}/figures",
            "recommended": "results/{campaign}/recommended",
        },
        told={
            "observations": Jobs.observations,
            "posteriors": Jobs.posteriors,
            "catalogues": Jobs.catalogues,
        },
    ),
    "index": Rule(
        "results/index.spec.json",
        reads={
            "verdicts": _of_reported("results/{campaign}/verdict.json"),
            "comparisons": lambda jobs, names: [],
        },
        writes={"index": "results/index.html"},
    ),
}
"""By stage, in the order in which stages are run."""


class Study:
    """A study in the working folder, whose stages are run in this process.

    Args:
        configuration: What stands in a ``config.yaml``, as a mapping. Simulators and other code of
            one's own are named as there, ``"my_module:MyClass"``, and read from their files anew.
        threads: Threads of training, and processes that simulate; no result depends on the latter.

    Raises:
        ValueError: The configuration is wrong; or it asks for what Snakemake alone makes: rounds,
            sweeps, catalogues, refined posteriors.
    """

    def __init__(self, configuration: Mapping[str, Any], threads: int = 1) -> None:
        _forget_modules(configuration)
        self._jobs = Jobs(Plan(study.take_configuration(dict(configuration))))
        self._threads = threads
        stages = dict.fromkeys(self._plan[path].stage for path in self._plan)
        if others := [stage for stage in stages if stage not in RULES]:
            raise ValueError(
                f"this configuration asks for {', '.join(others)}, which snakemake alone runs; "
                "write it into config.yaml and call snakemake"
            )

    @property
    def _plan(self) -> Plan:
        return self._jobs.plan

    def make(self, last: str = "index") -> list[str]:
        """Make what is missing or was made otherwise, stage by stage.

        Args:
            last: The stage after which to stop. They are, in order: ``observe``, ``sample_prior``,
                ``simulate``, ``manifest``, ``train``, ``calibrate``, ``learn_nuisances``,
                ``sample``, ``diagnose``, ``posterior_sbc``, ``report``, ``index``.

        Returns:
            Where the specifications, or receipts, of what was made lie.

        Raises:
            ValueError: A stage failed, or there is none of this name.
        """
        pick(last, RULES, "the stage")
        made = []
        for stage in _up_to(last):
            for path in self._wanted(stage):
                if not self._plan.is_made(path):
                    self._run(stage, path)
                    made.append(path)
        return made

    def verdicts(self) -> list[str]:
        """Return a line for each page that is made: where it is and what its verdict says."""
        return list(self._jobs.verdicts())

    def _wanted(self, stage: str) -> Iterator[str]:
        """Yield where the specifications of a stage, or the receipts of its jobs, are written."""
        planned = {path: each.stage for path, each in self._plan.items()}
        receipts: dict[str, None] = {}
        for path in (path for path, of in planned.items() if of == stage):
            receipts |= dict.fromkeys(self._receipts(stage, path))
        yield from receipts

    def _receipts(self, stage: str, path: str) -> list[str]:
        """Return the receipts of jobs that make what a specification is of; itself if no job."""
        if self._plan.batch(path) is None:
            return [path]
        _, campaign, first, *_ = path.split("/")
        named = [] if stage == "observe" else [first]
        return self._plan.campaigns[campaign].receipts(stage, *named)

    def _run(self, stage: str, path: str) -> None:
        rule, jobs = RULES[stage], self._jobs
        names = rule.matched(path)
        assert names is not None, path
        reads = {key: _paths(each, jobs, names) for key, each in rule.reads.items()}
        writes = {key: Path(each.format(**names)) for key, each in rule.writes.items()}
        writes["spec"] = Path(path)
        writes["spec"].parent.mkdir(parents=True, exist_ok=True)
        told = {key: asked(jobs, names) for key, asked in rule.told.items()}
        told["spec"] = jobs.specification(names, Names(spec=path))
        run_planned(stage, reads, writes, told, self._threads)


def _up_to(last: str) -> Iterator[str]:
    yield from itertools.takewhile(lambda stage: stage != last, RULES)
    yield last


def _paths(each: str | Asked, jobs: Jobs, names: Names) -> Path | list[Path]:
    found = each.format(**names) if isinstance(each, str) else each(jobs, names)
    return Path(found) if isinstance(found, str) else [Path(path) for path in found]


def _forget_modules(configuration: Any) -> None:
    """Have code of the working folder that a configuration names imported anew when it is used."""
    here = Path.cwd()
    importlib.invalidate_caches()
    for name in _named(configuration):
        with suppress(ValueError):  # no such module: whoever binds the configuration says so
            for module, path in fingerprint.files_of_sources(name).items():
                installed = "site-packages" in path.parts or module.startswith(f"{__package__}.")
                if path.is_relative_to(here) and not installed:
                    sys.modules.pop(module, None)


def _named(value: Any) -> Iterator[str]:
    """Yield all texts of a configuration that may name code, ``"module:attribute"``."""
    if isinstance(value, str) and re.fullmatch(r"[\w.]+:\w+", value):
        yield value
    elif isinstance(value, Mapping):
        yield from itertools.chain.from_iterable(map(_named, value.values()))
    elif isinstance(value, list | tuple):
        yield from itertools.chain.from_iterable(map(_named, value))
