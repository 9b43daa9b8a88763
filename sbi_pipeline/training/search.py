"""Try a few settings of network and training and keep the one that validates best."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from .. import estimators
from ..estimators import Estimator
from ..options import all_differ
from ..progress import counting

logger = logging.getLogger(__name__)

Settings = dict[str, dict[str, Any]]
Trained = tuple[Estimator, pd.DataFrame]
PARTS = ("network", "training")


def candidates(grid: Mapping[str, Mapping[str, Sequence[Any]]]) -> list[Settings]:
    """Return all combinations of a grid, such as ``{"network": {"hidden": [32, 64]}}``.

    Raises:
        ValueError: The grid is not of this form.
    """
    for part, names in grid.items():
        if part not in PARTS or not isinstance(names, Mapping):
            raise ValueError(f"grid has {part!r}; it can have network and training, with options")
        for name, values in names.items():
            if not isinstance(values, list) or not values:
                raise ValueError(f"grid.{part}.{name} is {values!r}; wanted a list of values")
            if not all_differ(values):
                raise ValueError(f"grid.{part}.{name} is {values!r}; wanted each value once")
    axes = [(part, name) for part in PARTS for name in grid.get(part, {})]
    found = []
    for values in itertools.product(*(grid[part][name] for part, name in axes)):
        settings: Settings = {part: {} for part in PARTS}
        for (part, name), value in zip(axes, values, strict=True):
            settings[part][name] = value
        found.append(settings)
    return found


def search(
    grid: Mapping[str, Any], train: Callable[[Settings, Path], Trained], checkpoint: Path
) -> tuple[Estimator, pd.DataFrame, list[dict[str, Any]]]:
    """Train every candidate of a grid; what is trained already is not trained again.

    Args:
        grid: See `candidates`.
        train: From settings and a checkpoint of their own to an estimator and its history.
        checkpoint: Where candidates are kept, beside it, until `forget`.

    Returns:
        The estimator with the least validation loss, its history, and a table of all.

    Raises:
        ValueError: The loss of the method does not say how good it is.
    """
    table, best, every = [], None, candidates(grid)
    with counting("candidates", len(every), bar=False) as counter:
        for number, settings in enumerate(every):
            path = checkpoint.with_name(f"{checkpoint.stem}-{number}.pt")
            made, history = kept(path, partial(train, settings, path.with_suffix(".checkpoint")))
            if not made.traits.loss_judges:
                raise ValueError(
                    "grid needs a loss that says how good an estimator is; "
                    f"{made.spec['method']} has none"
                )
            loss = float(history["validation_loss"].min())
            table.append({**settings, "validation_loss": loss, "epochs": len(history)})
            logger.info("validation loss %.4f with %s", loss, settings)
            counter.update()
            if best is None or loss < best[0]:
                best = loss, made, history
    assert best is not None  # a product has at least one element
    return best[1], best[2], table


def forget(checkpoint: Path) -> None:
    """Remove what is kept of candidates beside a checkpoint."""
    for path in checkpoint.parent.glob(f"{checkpoint.stem}-*"):
        path.unlink()


def kept(path: Path, train: Callable[[], Trained]) -> Trained:
    """Train one candidate, or read it where an earlier run has.

    Args:
        path: Where it is kept, until `forget`.
        train: Returns an estimator and its history.
    """
    if path.exists():
        made, header = estimators.load_estimator(path)
        return made, pd.DataFrame(header["history"])
    made, history = train()
    estimators.save_estimator(path, made, {"history": history.to_dict("list")})
    return made, history
