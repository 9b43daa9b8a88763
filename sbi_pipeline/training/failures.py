"""What training does about simulations that failed; `validity` says why and when."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import torch

from ..conditions import NO_CONDITIONS, Conditions
from ..networks.validity import Validity
from ..registry import pick
from ..storage.reading import Reader
from ..streams import integer
from ..types import Array, Outcome, Target
from .fit import fit

logger = logging.getLogger(__name__)

ROWS = 1_000_000  # that are looked at, at most
RARE = 0.001  # fraction of failures that no posterior would show

# option: (fraction that failed) to whether log p(valid | z) is learnt
CHOICES: dict[str, Callable[[float], bool]] = {
    "auto": lambda fraction: fraction > RARE,
    "model": lambda fraction: fraction > 0,
    "ignore": lambda fraction: False,
}


def is_wanted(option: str, fraction: float, target: Target) -> bool:
    """Say whether an estimator needs log p(valid | z).

    Args:
        option: ``auto``, ``model`` or ``ignore``.
        fraction: Fraction of the simulations that failed.
        target: What is estimated.

    Raises:
        ValueError: The option is none of these.
    """
    wanted = pick(option, CHOICES, "failures")(fraction)
    return wanted and target != "posterior"


def learn_validity(
    reader: Reader,
    to_normal: Callable[[Array], Array],
    *,
    seed: int,
    conditions: Conditions = NO_CONDITIONS,
    threads: int | None = None,
    device: str = "auto",
    rows: int = ROWS,
) -> Validity:
    """Learn log p(valid | z) from the status of simulations; test rows are left out.

    Of data with known conditions it is given these, too.

    Args:
        reader: Of the campaign.
        to_normal: From parameters to standard-normal space.
        seed: Of the weights and of the order of rows.
        conditions: Known conditions of the data.
        threads: Number of CPU threads.
        device: As for `fit.fit_source`.
        rows: How many rows to look at, at most, the first ones.

    Raises:
        ValueError: Too few rows.
    """
    parameters, status = reader.outcomes(rows)
    valid = status == Outcome.OK
    theta, known = (parameters[:, reader.columns(each)] for each in (reader.names, reader.known))
    z = np.concatenate([to_normal(theta), conditions.to_normal(known)], axis=1)
    masks = reader.first_masks(len(valid))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer(seed, "validity"))
        validity = Validity(z.shape[1])
    validity.start_at(float(valid[masks["train"]].mean().clip(1e-6, 1 - 1e-6)))
    history = fit(
        validity,
        torch.from_numpy(z.astype(np.float32)),
        torch.from_numpy(valid),
        train=masks["train"],
        validation=masks["validation"],
        seed=integer(seed, "validity/order"),
        threads=threads,
        device=device,
        progress=False,
    )
    logger.info(
        "log p(valid | theta) learnt from %d rows, %d failed; cross-entropy %.4f nats",
        len(valid),
        (~valid).sum(),
        history["validation_loss"].min(),
    )
    return validity
