"""Estimators: one method a file; how they are built, saved and loaded.

The file is one ``torch.save`` of ``{"header": plain values, "state": tensors}``, read with
``weights_only=True``: no pickled code, the same on CPU and GPU.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from .. import registry
from ..networks.packing import packed_shape, unpacked
from ..networks.periodic import is_periodic, told_of
from ..networks.validity import Validity
from ..options import INTERNAL, Few, Passes
from ..resolution import check_resolution
from .ensemble import Ensemble
from .estimator import Estimator, Preview, estimator_class, having, traits
from .turned import Turned

__all__ = [
    "Ensemble",
    "Estimator",
    "Preview",
    "build",
    "check_takes_gaps",
    "construct",
    "estimator_class",
    "having",
    "load_estimator",
    "save_estimator",
    "takes_gaps",
    "traits",
    "write_tensors",
]

FORMAT = 3
SPEC = ("method", "network", "members", "theta_dim", "x_shape")
MAYBE = ("conditions", "validity", "periodic", "gaps")


def build(
    method: str,
    z: Tensor,
    x: Tensor,
    *,
    seed: Annotated[int, INTERNAL],
    members: Few = 1,
    rows: Annotated[int | None, INTERNAL] = None,
    complete: Annotated[bool, INTERNAL] = True,
    follows: Annotated[bool, INTERNAL] = True,
    gaps: Annotated[bool, INTERNAL] = False,
    weighted: Annotated[bool, INTERNAL] = False,
    periodic: Annotated[Sequence[int], INTERNAL] = (),
    conditions: Annotated[int, INTERNAL] = 0,
    x_shape: Annotated[tuple[int, ...] | None, INTERNAL] = None,
    **network: Annotated[Any, Passes(registry.ESTIMATORS, by="method", given=2)],
) -> Estimator:
    """Build an untrained estimator for data like these.

    Args:
        method: A name of `registry.ESTIMATORS` or ``"module:Class"``.
        z: Training rows of the parameters in standard-normal space, ``(n, theta_dim)``.
        x: Training rows of the data, ``(n, *x_shape)``; only shapes and scales are taken.
        seed: Of the initial weights.
        members: Networks that are trained together and mixed; with more than one, an ensemble.
        rows: How many rows it will be trained on; None where these are all.
        complete: Whether no simulation failed, so that z is of the whole prior.
        follows: Whether rows follow the prior.
        gaps: Whether elements of x may be missing, NaN.
        weighted: Whether losses are weighted, see `Preview`.
        periodic: Columns of z that are of periodic parameters.
        conditions: Number of known conditions that each data set is packed with.
        x_shape: Shape of one data set, where it is packed.
        **network: Options of the method.

    Raises:
        ValueError: Rows are missing or not finite, or an option is wrong.
    """
    if gaps:
        check_takes_gaps(method)
    check_rows(z, x, gaps)
    made_of = estimator_class(method)
    seen = _without_ends(z, periodic)
    shape = tuple(x.shape[1:]) if x_shape is None else x_shape
    preview = Preview(seen, x, rows or len(z), complete, follows, weighted, gaps)
    if conditions and made_of.traits.conditions:
        beside, data = unpacked(x, conditions, shape)
        preview = replace(preview, x=data, known=beside)
    chosen = made_of.choose(preview, **network)
    if periodic and made_of.traits.circles:
        chosen["periodic"] = list(periodic)
    spec = {
        "method": method,
        "network": chosen,
        "members": members,
        "theta_dim": z.shape[1],
        "x_shape": list(shape),
        **({"conditions": conditions} if conditions else {}),
        **({"gaps": True} if gaps else {}),
    }
    if periodic and made_of.traits.turns:
        spec["periodic"] = list(periodic)
    return construct(spec, seed, (z, x))


def _without_ends(z: Tensor, periodic: Sequence[int]) -> Tensor:
    """Return z as it is looked at: of periodic parameters cosine and sine."""
    if not periodic:
        return z
    first, second = told_of(z, is_periodic(z.shape[1], periodic))
    return torch.cat((first, second[:, list(periodic)]), 1)


def construct(spec: Mapping[str, Any], seed: int, rows: tuple[Tensor, Tensor] | None) -> Estimator:
    """Make the estimator a spec describes, with scales fitted to rows (z, x) if there are any."""
    method: Any = estimator_class(spec["method"])
    known, shape, network = spec.get("conditions", 0), tuple(spec["x_shape"]), spec["network"]
    if known and method.traits.conditions:
        network = {**network, "known": known}
    else:
        shape = packed_shape(known, shape)
    if spec["members"] < 1:
        raise ValueError(f"members is {spec['members']}; at least 1 is wanted")
    made = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(spec["members"]):
            try:
                member = method(spec["theta_dim"], shape, **network)
            except TypeError as error:
                raise ValueError(f"network options of {spec['method']}: {error}") from error
            if "periodic" in spec:
                shown = packed_shape(known, tuple(spec["x_shape"]))
                member = Turned(member, spec["periodic"], spec["theta_dim"], shown)
            if rows is not None:
                member.fit_scales(*rows)
            made.append(member)
    estimator: Estimator = made[0] if len(made) == 1 else Ensemble(made)
    estimator.spec = dict(spec)
    if "validity" in spec:
        add_validity(estimator, Validity(spec["theta_dim"] + known, **spec["validity"]))
    return estimator


def add_validity(estimator: Estimator, validity: Validity) -> None:
    """Give an estimator of a likelihood or a ratio what it needs to know of failed simulations."""
    estimator.validity = validity
    estimator.spec["validity"] = validity.spec


def check_takes_gaps(method: str) -> None:
    """Refuse a method that cannot learn from data with elements that are missing."""
    if not traits(method).gaps:
        raise ValueError(
            f"{method} takes no data with missing elements; take {having(lambda each: each.gaps)}, "
            "or say Traits(gaps=True) where a class of your own takes NaN"
        )


def takes_gaps(estimator: Estimator) -> bool:
    """Say whether an estimator was trained on data with elements that are missing."""
    return bool(estimator.spec.get("gaps", False))


def check_rows(z: Tensor, x: Tensor, gaps: bool = False) -> None:
    """Refuse rows that cannot be trained on."""
    if z.ndim != 2 or len(z) != len(x) or len(z) < 2:
        raise ValueError(
            f"z has shape {tuple(z.shape)} and x {tuple(x.shape)}; wanted (n, theta_dim) and "
            "(n, *x_shape) with the same n of at least 2"
        )
    if not torch.isfinite(z).all():
        raise ValueError("z has values that are not finite: theta lies outside its prior")
    if x.is_complex():
        raise ValueError("x is complex; wanted real numbers: stack real and imaginary part")
    wrong = x.isinf() if gaps else ~x.isfinite()
    bad = wrong.flatten(1).any(1)
    if bad.any():
        row = int(bad.nonzero()[0])
        column = int(wrong[row].flatten().nonzero()[0])
        raise ValueError(
            f"x has NaN or infinity in {int(bad.sum())} of {len(x)} rows, first in row {row}, "
            f"column {column}; leave such rows out"
        )
    check_resolution(x.numpy(force=True))


def save_estimator(path: Path, estimator: Estimator, header: Mapping[str, Any]) -> None:
    """Write an estimator that `build` or `load` made, whole or not at all."""
    full = {**header, "format": FORMAT, **estimator.spec}
    state = {name: value.cpu() for name, value in estimator.state_dict().items()}
    write_tensors(Path(path), {"header": full, "state": state})


def write_tensors(path: Path, content: Any) -> None:
    """Write what torch can read with ``weights_only=True``, whole or not at all.

    Raises:
        ValueError: The disk is full, or the folder cannot be written to.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:  # torch wraps a full disk in a RuntimeError
        partial.unlink(missing_ok=True)
        raise ValueError(f"{path} cannot be written: {error}") from error


def load_estimator(path: Path, device: str = "cpu") -> tuple[Estimator, dict[str, Any]]:
    """Read an estimator and its header.

    Raises:
        ValueError: The file is of another format, not of an estimator, or not of this one.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        header, state = content["header"], content["state"]
        written = header["format"]
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(f"{path} cannot be read as an estimator: {error}") from error
    if written > FORMAT:
        raise ValueError(
            f"{path} has format {written}; this version reads {FORMAT}: "
            "upgrade sbi_pipeline or train again"
        )
    missing = [name for name in SPEC if name not in header]
    if written < FORMAT or missing:
        raise ValueError(
            f"{path} is of an older version (format {written}; this one reads {FORMAT}"
            f"{', lacks ' + ', '.join(missing) if missing else ''}): train again"
        )
    spec = {name: header[name] for name in (*SPEC, *MAYBE) if name in header}
    estimator = construct(spec, 0, None)
    check_state(path, estimator.state_dict(), state)
    estimator.load_state_dict(state)
    return estimator.to(device).eval(), header


def check_state(path: Path, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not those of the network the header describes."""
    wrong = [
        f"{name} is {tuple(found[name].shape) if name in found else 'missing'}, "
        f"wanted {tuple(wanted[name].shape) if name in wanted else 'nothing'}"
        for name in {**wanted, **found}
        if name not in wanted or name not in found or wanted[name].shape != found[name].shape
    ]
    if wrong:
        raise ValueError(
            f"{path} does not hold the network its header describes: {len(wrong)} of "
            f"{len(wanted)} tensors differ, first {wrong[0]}; train again"
        )
