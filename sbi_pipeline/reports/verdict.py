"""Many checks, one verdict: the worst of them, said in a sentence and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from ..diagnostics.check import STATUSES, Check, Status
from .recommendation import Recommendation

MOST_NAMED = 6
"""Subjects of one check that the sentence names; it must stay one."""


@dataclass(frozen=True)
class Verdict:
    """The worst status of some checks, and one sentence for a physicist."""

    status: Status
    sentence: str


def overall(checks: Sequence[Check]) -> Verdict:
    """Return the worst status, and what it means in one sentence.

    Raises:
        ValueError: There are no checks.
    """
    if not checks:
        raise ValueError("no checks were made; a verdict needs at least one")
    status = STATUSES[max(STATUSES.index(check.status) for check in checks)]
    if status == "pass":
        caveats = dict.fromkeys(check.caveat for check in checks if check.caveat)
        told = [f"All {len(checks)} checks passed; none found a fault.", *caveats]
        return Verdict(status, " ".join(told))
    bad = [check for check in checks if check.status == status]
    subjects: dict[str, list[str]] = {}
    for check in bad:
        subjects.setdefault(check.name, []).append(check.subject)
    named = ", ".join(f"{name} ({_listed(whose)})" for name, whose in subjects.items())
    verb = "failed"
    if status == "warn":
        verb = "gives a warning" if len(bad) == 1 else "give a warning"
    return Verdict(status, f"{len(bad)} of {len(checks)} checks {verb}: {named}.")


def _listed(whose: Sequence[str]) -> str:
    """Return the first of some subjects, and how many more there are."""
    if len(whose) <= MOST_NAMED:
        return "; ".join(whose)
    return f"{'; '.join(whose[: MOST_NAMED - 1])}; and {len(whose) - MOST_NAMED + 1} more"


def to_json(
    checks: Sequence[Check],
    taken: Mapping[str, Recommendation] | None = None,
    methods: Mapping[str, str] | None = None,
) -> str:
    """Return verdict and checks as JSON; numbers that are not finite become null.

    Args:
        checks: All of them.
        taken: Which posterior to take, by observation.
        methods: The ``paragraph`` that tells how it was done, and the ``version`` that did it.
    """
    verdict = overall(checks)
    return json.dumps(
        {
            "status": verdict.status,
            "sentence": verdict.sentence,
            "recommended": {
                name: {"posterior": each.posterior or None, "why": each.sentences}
                for name, each in (taken or {}).items()
            },
            "methods": dict(methods or {}),
            "checks": [
                {**asdict(check), "value": check.value if math.isfinite(check.value) else None}
                for check in checks
            ],
        },
        indent=2,
        ensure_ascii=False,
    )
