"""What the number of events tells of theta, where events fail: by how those observed were selected.

An event that is tried at theta works with probability p(theta), and its data are then of
p(x | theta, valid). That is what a likelihood learns from simulations that worked, and a ratio but
for p(x | valid). An observation of the k events that worked, of N tried, has the likelihood

    tried, all:  prod p(x_i | theta, valid) p(theta)^k (1 - p(theta))^(N - k)    N is known
    detected:    prod p(x_i | theta, valid)                                      N is not

but for a constant. The second is the first summed over all N with a prior 1/N, whatever p is. Near
p = 0 it has no rows to be learnt from: where p is below a thousandth of its mean under the prior,
the number tried is taken to be no larger than it would be there, and the likelihood falls as p^k.

One data set that is no set of events is one that was tried, and worked: a factor p(theta).

Reference: Mandel, Farr & Gair, Extracting distribution parameters from multiple uncertain
observations with selection biases, MNRAS 486, 2019, https://arxiv.org/abs/1809.02063.
"""

from __future__ import annotations

import numpy as np
import torch

from .networks.validity import Validity
from .types import Array

LEAST = 0.001
"""Of the mean p(valid), below which a likelihood of events that worked was hardly learnt."""
POINTS = 10_000
"""Of the prior, at which p(valid) has its mean."""


@torch.inference_mode()
def log_mean_valid(validity: Validity, dim: int) -> float:
    """Return log p(valid), its mean under the prior.

    Args:
        validity: Knows log p(valid | z).
        dim: Of what it is given: parameters and known conditions, in their normal spaces.
    """
    z = torch.randn(POINTS, dim, generator=torch.Generator().manual_seed(0))
    device = next(validity.parameters()).device
    return float(validity.log_prob(z.to(device)).double().logsumexp(0) - np.log(POINTS))


def log_of_numbers(
    log_valid: Array, log_failed: Array, worked: int, tried: Array | None, usual: float
) -> Array:
    """Return what the numbers of events add to their log likelihood, ``(n,)``.

    Args:
        log_valid: log p(valid | z) of an event, ``(n,)``, the mean where events differ.
        log_failed: The same of log p(failed | z).
        worked: Number of events that worked.
        tried: Number tried, ``(n,)``; None where only those that worked were kept.
        usual: Log of the mean of p(valid).
    """
    if tried is None:
        return np.asarray(worked * np.minimum(0.0, log_valid - usual - np.log(LEAST)))
    return np.asarray(worked * log_valid + (tried - worked) * log_failed)


def check_tried(tried: Array, worked: int, *, modelled: bool, conditions: bool) -> None:
    """Refuse numbers of events that were tried where they make no sense, or nothing knows of them.

    Args:
        tried: Of each data set, ``(m,)``.
        worked: Events that each has.
        modelled: Whether log p(valid | theta) was learnt.
        conditions: Whether events have known conditions of their own.

    Raises:
        ValueError: Fewer were tried than worked, failures were not learnt, or the conditions of
            events that failed are not known.
    """
    fewest = int(np.min(tried))
    if fewest < worked:
        raise ValueError(
            f"{worked} events worked of {fewest} tried; wanted the number of all that were tried"
        )
    failed = int(np.max(tried)) - worked
    if failed and not modelled:
        raise ValueError(
            f"{failed} events failed, and the estimator has not learnt where events fail, since "
            "hardly any simulation did; train with failures: model, or count only those that worked"
        )
    if failed and conditions:
        raise ValueError(
            f"{failed} events failed, whose known conditions nobody gave; leave out how many were "
            "tried"
        )
