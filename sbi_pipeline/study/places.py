"""Where specifications are written."""

from __future__ import annotations

RESULTS = "results"
ROW_STORES = {"sample_prior": "prior", "simulate": "shard", "import_rows": "shard"}
"""Stages that make rows, and how the names of their stores begin."""
LEFT_OUT = "left_out.txt"
"""Says of a folder of simulations that its rows were left out of a bundle."""


def place(campaign: str, stage_name: str, *folders: str) -> str:
    """Return where the specification of a stage is written, in some folder of a campaign."""
    if stage_name in ("observe", "collect"):  # observations lie in one folder, a name each
        return "/".join([RESULTS, campaign, "observations", *folders]) + ".spec.json"
    return "/".join([RESULTS, campaign, *folders, f"{stage_name}.spec.json"])
