"""Where specifications are written."""

from __future__ import annotations

RESULTS = "results"


def place(campaign: str, stage_name: str, *folders: str) -> str:
    """Return where the specification of a stage is written, in some folder of a campaign."""
    if stage_name in ("observe", "collect"):  # observations lie in one folder, a name each
        return "/".join([RESULTS, campaign, "observations", *folders]) + ".spec.json"
    return "/".join([RESULTS, campaign, *folders, f"{stage_name}.spec.json"])
