"""What is around each event of a set, in windows of several sizes.

A window about event i gives event j the weight exp(-|x_i - x_j|^2 / (2 h^2)). Of the weighted
events it tells how many there are, where their mean is and how they scatter: a local density and a
local principal component analysis, which see the thickness of a curve without knowing the curve.
"""

from __future__ import annotations

import torch
from torch import Tensor

AT_ONCE = 1_000_000  # pairs of events held in memory
FLOOR = 1e-3  # of the squared scatter, in windows squared: a lone event has none


def n_features(dim: int, windows: int) -> int:
    """Return how many numbers `neighbourhoods` tells of each event."""
    return windows * (2 + dim + dim * (dim + 1) // 2)


@torch.no_grad()
def neighbourhoods(x: Tensor, mask: Tensor | None, widest: float, windows: int) -> Tensor:
    """Describe the neighbourhood of each event, ``(n, events, features)``.

    For each window: log of the total weight, mean offset and covariance in units of the window,
    and half the log determinant of the covariance; all roughly of mean 0 and size 1. Events that
    are not there are told zeros, or nothing of meaning.

    Args:
        x: Positions, ``(n, events, dim)``.
        mask: Which events are there, ``(n, events)``; None for all.
        widest: Width of the first window, in units of x; each further one is half as wide.
        windows: Number of windows.
    """
    sets = max(1, AT_ONCE // x.shape[1] ** 2)
    if mask is None:
        return torch.cat([of_few(part, None, widest, windows) for part in x.split(sets)])
    place = torch.arange(x.shape[1], device=x.device)
    told = x.new_zeros(*x.shape[:2], n_features(x.shape[2], windows))
    # Sets of like size together, cut to the last event that any of them has.
    for few in mask.sum(1).argsort().split(sets):
        size = int((place * mask[few].any(0)).max()) + 1
        told[few, :size] = of_few(x[few, :size], mask[few, :size], widest, windows)
    return told


def of_few(x: Tensor, mask: Tensor | None, widest: float, windows: int) -> Tensor:
    """Describe neighbourhoods, as `neighbourhoods` does, of all sets at once."""
    i, j = torch.triu_indices(x.shape[2], x.shape[2])
    moments = torch.cat((torch.ones_like(x[..., :1]), x, x[..., i] * x[..., j]), -1)
    if mask is not None:
        moments = moments * mask.unsqueeze(-1)
    told, width = [], widest
    weight = (-0.5 / widest**2 * squared_distances(x)).exp_()
    for window in range(windows):
        if window:
            weight, width = weight.square_().square_(), width / 2
        told.append(describe(torch.bmm(weight, moments), x, width))
    return torch.cat(told, -1)


def squared_distances(x: Tensor) -> Tensor:
    """Return ``(n, events, events)`` for positions ``(n, events, dim)``."""
    norm = x.square().sum(-1)
    sums = norm.unsqueeze(1) + norm.unsqueeze(2)
    return torch.baddbmm(sums, x, x.transpose(1, 2), alpha=-2).clamp_(min=0)


def describe(moments: Tensor, x: Tensor, width: float) -> Tensor:
    """Turn sums of weights, weighted positions and products into features of a window."""
    dim = x.shape[2]
    i, j = torch.triu_indices(dim, dim)
    total = moments[..., :1].clamp(min=1e-6)  # padding may have nothing around it
    mean = moments[..., 1 : 1 + dim] / total
    scatter = (moments[..., 1 + dim :] / total - mean[..., i] * mean[..., j]) / width**2
    whole = scatter.new_zeros(*scatter.shape[:-1], dim, dim)
    whole[..., i, j] = whole[..., j, i] = scatter
    whole.diagonal(dim1=-2, dim2=-1).add_(FLOOR)
    log_volume = 0.5 * torch.det(whole).clamp(min=FLOOR**dim).log().unsqueeze(-1)
    return torch.cat(
        (total.log() - 2, (mean - x) / width, 3 * scatter - 1, log_volume + 0.75 * dim), -1
    )
