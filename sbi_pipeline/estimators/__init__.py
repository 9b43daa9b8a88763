"""Estimators: one method a file; how they are built, saved and loaded.

The file is one ``torch.save`` of ``{"header": plain values, "state": tensors}``, read with
``weights_only=True``: no pickled code, the same on CPU and GPU.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import registry
from ..types import Estimator

FORMAT = 1


def build(method: str, z: Tensor, x: Tensor, *, seed: int, **network: Any) -> nn.Module:
    """Build an untrained estimator for data like these.

    Args:
        method: A name of `registry.ESTIMATORS` or ``"module:Class"``.
        z: Training rows of the parameters in standard-normal space, ``(n, theta_dim)``.
        x: Training rows of the data, ``(n, *x_shape)``; only shapes and scales are taken.
        seed: Of the initial weights.
        **network: Options of the method.

    Raises:
        ValueError: Rows are missing or not finite, or an option is wrong.
    """
    check_rows(z, x)
    estimator_class = registry.load(method, registry.ESTIMATORS)
    try:
        network = estimator_class.choose(z, x, **network)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            estimator = estimator_class(z.shape[1], tuple(x.shape[1:]), **network)
    except TypeError as error:
        raise ValueError(f"network options of {method}: {error}") from error
    estimator.fit_scales(x)
    estimator.spec = {
        "method": method,
        "network": network,
        "theta_dim": z.shape[1],
        "x_shape": list(x.shape[1:]),
    }
    return estimator


def check_rows(z: Tensor, x: Tensor) -> None:
    """Refuse rows that cannot be trained on."""
    if z.ndim != 2 or len(z) != len(x) or len(z) < 2:
        raise ValueError(
            f"z has shape {tuple(z.shape)} and x {tuple(x.shape)}; wanted (n, theta_dim) and "
            "(n, *x_shape) with the same n of at least 2"
        )
    if not torch.isfinite(z).all():
        raise ValueError("z has values that are not finite: theta lies outside its prior")
    bad = ~torch.isfinite(x).flatten(1).all(1)
    if bad.any():
        row = int(bad.nonzero()[0])
        column = int((~torch.isfinite(x[row].flatten())).nonzero()[0])
        raise ValueError(
            f"x has NaN or infinity in {int(bad.sum())} of {len(x)} rows, first in row {row}, "
            f"column {column}; leave such rows out"
        )


def save(path: Path, estimator: nn.Module, header: Mapping[str, Any]) -> None:
    """Write an estimator that `build` or `load` made, whole or not at all."""
    path = Path(path)
    full = {**header, "format": FORMAT, **estimator.spec}  # type: ignore[dict-item]
    state = {name: value.cpu() for name, value in estimator.state_dict().items()}
    partial = path.with_name(path.name + ".partial")
    torch.save({"header": full, "state": state}, partial)
    os.replace(partial, path)


def load(path: Path, device: str = "cpu") -> tuple[Estimator, dict[str, Any]]:
    """Read an estimator and its header.

    Raises:
        ValueError: The file is of a newer format or not of an estimator.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        header, state = content["header"], content["state"]
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(f"{path} cannot be read as an estimator: {error}") from error
    if header["format"] > FORMAT:
        raise ValueError(
            f"{path} has format {header['format']}; this version reads up to {FORMAT}: "
            "upgrade sbi_pipeline or train again"
        )
    estimator_class = registry.load(header["method"], registry.ESTIMATORS)
    x_shape = tuple(header["x_shape"])
    with torch.random.fork_rng(devices=[]):
        estimator = estimator_class(header["theta_dim"], x_shape, **header["network"])
    estimator.load_state_dict(state)
    estimator.spec = {name: header[name] for name in ("method", "network", "theta_dim", "x_shape")}
    return estimator.to(device).eval(), header
