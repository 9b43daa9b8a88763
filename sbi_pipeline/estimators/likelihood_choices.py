"""What `nle` leaves open, chosen by a look at training data: columns, scales, summaries, masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..networks.compression import LONG, choose_summaries, named
from ..networks.conditioning import MOST_COLUMNS
from ..networks.gapped_regression import MOST_GAPPED
from ..networks.masks import what_masks_tell
from ..networks.mixed import MixedStandardise, filled
from ..networks.scaling import choose_transform, constant_columns, without_gaps
from ..networks.screening import linked_columns
from ..networks.values import Values

MOST_INCOMPLETE = 100  # columns with atoms that are regressed on the parameters, each by itself


def choose_summarised(z: Tensor, x: Tensor, options: dict[str, Any]) -> dict[str, Any] | None:
    """Return all options where summaries are asked for or chosen; None for none of them."""
    summaries, rest = options.pop("summaries", "auto"), options.get("columns", [])
    given = any(options.get(name, "auto") not in ("auto", None) for name in ("discrete", "atoms"))
    if summaries == "auto" and (given or len(rest) <= LONG or _look_whole(x)):
        return None
    if summaries is None:
        return None
    seen = x.flatten(1)[:, rest]
    if options.get("transform", "auto") == "auto":
        options["transform"] = choose_transform(seen, z)
    if summaries == "auto":
        summaries = choose_summaries(z, seen, options["transform"])
    if summaries is None:
        return None
    linear = options.get("linear", "auto")
    real = {"discrete": None, "atoms": None, "dequantise": False, "counts": "none"}
    return {
        **options,
        **real,
        "linear": linear == "auto" or linear,
        "summaries": named(summaries),
    }


def _look_whole(x: Tensor) -> bool:
    """Say whether data look like whole numbers."""
    some = x[:100]
    return not x.is_floating_point() or bool((some == some.round()).all())


def choose_columns(z: Tensor, x: Tensor, wanted: str | list[int]) -> list[int]:
    """Return the columns to learn of, out of those that vary.

    Raises:
        ValueError: None varies.
    """
    varying: list[int] = (~constant_columns(x)).flatten().nonzero()[:, 0].tolist()
    if not varying:
        raise ValueError("x is the same in every training row: there is no likelihood to learn")
    if wanted == "auto" and x.ndim == 2:
        return [varying[i] for i in linked_columns(z, without_gaps(x[:, varying]))]
    return varying if wanted in ("all", "auto") else [i for i in wanted if i in varying]


def choose_masks(z: Tensor, missing: Tensor) -> list[int] | None:
    """Return the columns of x whose masks vary, if masks say something of z."""
    if not what_masks_tell(z, missing).is_certain:
        return None
    varying: list[int] = (missing != missing[:1]).any(0).nonzero()[:, 0].tolist()
    return varying


def choose_scales(
    z: Tensor,
    x: Tensor,
    *,
    columns: list[int],
    values: Mapping[int, Mapping[str, Any]],
    **options: Any,
) -> dict[str, Any]:
    """Choose what columns go through, and whether a regression, by training data.

    Args:
        z: Parameters of training rows.
        x: Their data, ``(n, elements)``.
        columns: Those that are used.
        values: What they hold.
        **options: Others of `NLE`.
    """
    few, atoms = (options["discrete"] or {"columns": []})["columns"], options["atoms"] or []
    held = {i: Values(**each) for i, each in values.items()}
    scales = MixedStandardise([i for i in columns if i not in few], held, "none", "none")

    def without_atoms(numbers: Tensor, among: list[int]) -> Tensor:
        there = torch.ones_like(numbers, dtype=torch.bool)
        for place, i in enumerate(among):
            if i in atoms:
                there[:, place] = ~held[i].are_points(x[:, i])
        return filled(numbers, there) if set(atoms) & set(among) else numbers

    transform, counts = options.get("transform", "auto"), options.get("counts", "auto")
    if counts == "auto" and transform != "auto":
        counts = transform
    elif counts == "auto":
        steps = without_atoms(scales.in_steps(x), scales.whole)
        positive = bool((steps.isnan() | (steps > -0.5)).all())
        counts = "log1p" if positive else choose_transform(steps)
        counts = counts if scales.whole else "none"
    if transform == "auto":
        real = without_atoms(x[:, scales.real], scales.real)
        transform = choose_transform(real, z) if scales.real else counts
    linear = options.get("linear", "auto")
    if linear == "auto":
        most = MOST_GAPPED if options.get("gaps") else MOST_COLUMNS
        linear = 0 < len(scales.columns) <= most and len(atoms) <= MOST_INCOMPLETE
    return {"transform": transform, "counts": counts, "linear": linear}
