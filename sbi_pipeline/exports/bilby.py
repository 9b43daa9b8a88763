"""A posterior as a ``Result`` of bilby, in its JSON: `bilby.read_in_result(filename)` reads it.

Written without bilby, whose classes of priors stand in `priors.bilby`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..priors import Parameter
from ..priors.bilby import FAMILIES
from ..priors.families import TYPES
from .draws import DENSITY, DescribedColumn, ExportedPosterior
from .labels import as_text, text_with_unit

CLASSES = {family.type: name for name, family in reversed(FAMILIES.items())}
"""Classes of bilby by our type."""


def write_bilby(posterior: ExportedPosterior, out: Path) -> list[str]:
    """Write the result; return sentences on what it lacks."""
    out.write_text(json.dumps(_result(posterior, out), indent=1) + "\n")
    return list(_said(posterior, out))


def _result(posterior: ExportedPosterior, out: Path) -> dict[str, Any]:
    """Return what bilby writes of a result."""
    names, columns = posterior.inferred, posterior.columns
    frame = {name: values.tolist() for name, values in posterior.repeated().items()}
    if posterior.log_posterior is not None:
        frame[DENSITY] = posterior.log_posterior.repeat(posterior.weight).tolist()
    return {
        "label": out.name.removesuffix(".json").removesuffix("_result"),
        "outdir": ".",
        "sampler": f"sbi_pipeline {posterior.facts.get('sampler', '')}".strip(),
        "search_parameter_keys": names,
        "fixed_parameter_keys": [],
        "constraint_parameter_keys": [],
        "parameter_labels": [as_text(columns[name].label or name) for name in names],
        "parameter_labels_with_unit": [
            as_text(text_with_unit(name, columns[name])) for name in names
        ],
        "posterior": {"__dataframe__": True, "content": frame},
        "priors": _priors(posterior),
        "injection_parameters": dict(posterior.truth) or None,
        "log_evidence": _number(posterior.facts, "log_evidence"),
        "log_evidence_err": _number(posterior.facts, "log_evidence_error"),
        "meta_data": dict(posterior.names),
    }


def _said(posterior: ExportedPosterior, out: Path) -> Iterator[str]:
    yield f'read it with bilby.read_in_result(filename="{out}")'
    if posterior.is_weighted:
        yield (
            "bilby takes draws that all count alike: these were resampled by weight, and copies of "
            "one draw stay there"
        )
    known = [name for name, prior in posterior.priors.items() if _type(prior) in CLASSES]
    if missing := [name for name in posterior.inferred if name not in known]:
        yield f"without the priors of {', '.join(missing)}: unknown, or bilby has none like them"


def _priors(posterior: ExportedPosterior) -> dict[str, Any]:
    """Return the priors that bilby has, as it writes them."""
    known = {
        name: _prior(name, prior, posterior.columns[name])
        for name, prior in posterior.priors.items()
        if _type(prior) in CLASSES
    }
    of_bilby = {"__module__": "bilby.core.prior.dict", "__name__": "PriorDict"}
    return {"__prior_dict__": True, **of_bilby, **known}


def _number(facts: Mapping[str, Any], name: str) -> float:
    return float(facts.get(name, float("nan")))


def _type(prior: Parameter) -> str:
    return next(name for name, family in TYPES.items() if family is prior.family)


def _prior(name: str, prior: Parameter, column: DescribedColumn) -> dict[str, Any]:
    """Return a prior as bilby writes it."""
    kind = CLASSES[_type(prior)]
    arguments = {theirs: ours for theirs, ours in FAMILIES[kind].arguments.items() if ours}
    return {
        "__prior__": True,
        "__module__": "bilby.core.prior.analytical",
        "__name__": kind,
        "kwargs": {
            **{theirs: float(prior.arguments[ours]) for theirs, ours in arguments.items()},
            "name": name,
            "latex_label": as_text(column.label or name),
            "unit": column.unit,
            **({"boundary": "periodic"} if prior.periodic else {}),
        },
    }
