"""Regression on many columns, in time and memory linear in rows and columns.

Conjugate gradients on the normal equations, stopped early: after k steps it is the fit of partial
least squares with k components, and stopping is what keeps it from fitting noise.

References:
    Hestenes & Stiefel, Methods of conjugate gradients for solving linear systems, J. Res. NBS 49,
        1952, https://doi.org/10.6028/jres.049.044.
    Helland, On the structure of partial least squares regression, Commun. Stat. 17, 1988,
        https://doi.org/10.1080/03610918808812681.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

STEPS = 12


def steps_of_fit(inputs: Tensor, outputs: Tensor, steps: int = STEPS) -> Iterator[Tensor]:
    """Yield the weights, ``(columns, outputs)``, after each step.

    Args:
        inputs: Centred rows, ``(n, columns)``.
        outputs: Centred rows, ``(n, outputs)``; each is fitted alone.
        steps: How many.
    """
    weight = inputs.new_zeros(inputs.shape[1], outputs.shape[1])
    rest = outputs.clone()
    slope = inputs.T @ rest
    along, size = slope.clone(), slope.square().sum(0)
    first = size.clone()
    for _ in range(steps):
        if bool((size <= 1e-10 * first).all()):
            return
        moved = inputs @ along
        step = size / moved.square().sum(0).clamp(min=torch.finfo(moved.dtype).tiny)
        step = torch.where(size > 1e-10 * first, step, 0)
        weight = weight + step * along
        rest -= step * moved
        slope = inputs.T @ rest
        before, size = size, slope.square().sum(0)
        along = slope + size / before.clamp(min=torch.finfo(size.dtype).tiny) * along
        yield weight


def best_fit(inputs: Tensor, outputs: Tensor, steps: int = STEPS) -> tuple[Tensor, Tensor]:
    """Return the weights whose predictions of every other row are best, and what they explain.

    Fitted to the other rows.

    Args:
        inputs: Centred rows, ``(n, columns)``.
        outputs: Centred rows, ``(n, outputs)``.
        steps: At most.

    Returns:
        Weights, ``(columns, outputs)``, zero for outputs that no step predicts, and the fraction of
        the variance of each output that they explain in the rows held out, ``(outputs,)``.
    """
    fit, test = slice(0, None, 2), slice(1, None, 2)
    total = outputs[test].square().sum(0).clamp(min=torch.finfo(outputs.dtype).tiny)
    explained = torch.zeros_like(total)
    best = inputs.new_zeros(inputs.shape[1], outputs.shape[1])
    for weight in steps_of_fit(inputs[fit], outputs[fit], steps):
        rest = (outputs[test] - inputs[test] @ weight).square().sum(0)
        better = 1 - rest / total > explained
        if not better.any():
            break
        explained = torch.where(better, 1 - rest / total, explained)
        best = torch.where(better, weight, best)
    return best, explained
