"""From a trained estimator to a posterior: the one place where methods differ after training.

Estimators work in the prior's standard-normal space, z; a discrete parameter has a code of its own
there for each value, see `priors.discrete`. There

    target "posterior":   log p(z | x_o) = log q(z | x_o)
    target "likelihood":  log p(z | x_o) = log q(x_o | z) + log N(z; 0, I) + constant
    target "ratio":       log p(z | x_o) = log r(x_o, z)  + log N(z; 0, I) + constant

where the last two gain log p(valid | z) if that was learnt because simulations failed, see
`validity`. Of events, independent given theta, log likelihoods or ratios add up, and what is gained
depends on how they were selected, see `selection`. So it is of k observations of one source, each
of which was tried and worked; the prior is in a product of their posteriors k times:

    log p(z | x_1 ... x_k) = sum log q(z | x_i) - (k - 1) log N(z; 0, I) + constant.

And, because dz/dtheta = prior(theta) / N(z; 0, I) for every prior,

    log p(theta | x_o) = log p(z | x_o) - log N(z; 0, I) + log prior(theta).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .estimators import Estimator, having, takes_gaps
from .networks.validity import Validity
from .selection import check_tried, log_mean_valid, log_of_numbers
from .storage.missing_elements import TO_DECLARE
from .types import Array, Prior

LogDensity = Callable[[Array], Array]
"""Log-densities in normal space of m targets at once: ``(m, n, theta_dim) -> (m, n)``."""

AT_ONCE = {"cpu": 4000, "cuda": 20_000}
"""Rows given to a network at once: on a CPU so few that what they become stays in its cache."""
NUMBERS_AT_ONCE = 20_000
"""Rows of which log p(valid | z) is asked at once."""
MOST_REPEATED = 256
"""Elements of a data set; larger ones are summarised once, not once for every row of z."""


def log_posterior(
    estimator: Estimator,
    x: Array,
    events: bool = False,
    batch: int | None = None,
    *,
    joined: bool = False,
    tried: Array | None = None,
) -> LogDensity:
    """Return the log posterior density of z for each of m data sets ``x``, ``(m, *x_shape)``.

    Normalised for target "posterior" of one observation, up to a constant for the others, NaN for a
    method that draws but has no density.

    Args:
        estimator: A trained estimator.
        x: Data sets as they are shown to the estimator (packed with known conditions, if there are
            any), ``(m, *x_shape)``; of events, ``(m, events, *x_shape)``, or where several are
            joined ``(m, k, *x_shape)``.
        events: Whether a data set is several events, independent given theta, and the estimator was
            trained on single ones: their log likelihoods, or log ratios, are then summed.
        batch: Rows given to the network at once; by default `AT_ONCE`.
        joined: Whether a data set is several observations of one source.
        tried: How many events were tried for each data set, ``(m,)``, those that failed among them;
            None where that is not known, and only those that worked were kept.

    Raises:
        ValueError: The data do not have the shape trained on, or are events of an estimator of the
            posterior, where a sum over events means nothing, or observations cannot be joined; or
            the events that were tried make no sense, see `selection.check_tried`.
    """
    if joined:
        check_joins(estimator)
    several = events or joined
    x = check_x(estimator, x, several)
    if events and estimator.traits.draws:
        others = having(lambda traits: not traits.draws)
        raise ValueError(
            f"posteriors of single events cannot be multiplied; take {others} for events, or "
            "simulate whole data sets"
        )
    data = torch.as_tensor(x if several else x[:, None])
    valid = estimator.validity
    log_numbers = None if valid is None else _log_numbers(valid, estimator, data, events, tried)
    if tried is not None:
        own = estimator.known_conditions > 0
        check_tried(tried, data.shape[1], modelled=valid is not None, conditions=own)
    at_once = _at_once(estimator, batch, data.shape[1])
    large = not several and data[0].numel() > MOST_REPEATED
    summaries = _summaries(estimator, data[:, 0]) if large else None

    @torch.inference_mode()
    def log_density(z: Array) -> Array:
        m, n, theta_dim = z.shape
        if not estimator.traits.density:
            return np.full((m, n), np.nan)
        rows = torch.as_tensor(z.reshape(m * n, theta_dim), dtype=torch.float32)
        which = torch.arange(m).repeat_interleave(n)
        if summaries is not None:
            pairs = zip(rows.split(at_once), which.split(at_once), strict=True)
            sums = [_of_summaries(estimator, z, summaries[index]) for z, index in pairs]
        elif large:
            each = zip(rows.view(m, n, theta_dim), data[:, 0], strict=True)
            sums = [_of_one(estimator, row, one, at_once) for row, one in each]
        else:
            parts = zip(rows.split(at_once), which.split(at_once), strict=True)
            sums = [_of_events(estimator, part, data[index]).sum(1) for part, index in parts]
        total = torch.cat(sums).numpy().reshape(m, n)
        if estimator.traits.target == "posterior":
            return total if not joined else total - (data.shape[1] - 1) * log_normal(z)
        total = total + log_normal(z)
        return total if log_numbers is None else total + log_numbers(rows, which).reshape(m, n)

    return log_density


def _log_numbers(
    validity: Validity, estimator: Estimator, data: Tensor, events: bool, tried: Array | None
) -> Callable[[Tensor, Tensor], Array]:
    """Return what adds what the numbers of events tell, to rows of z and their data sets.

    Args:
        validity: Knows log p(valid | z).
        estimator: Of which it is.
        data: Data sets, ``(m, events, *x_shape)``.
        events: Whether they are events, of which some may have failed; others all worked.
        tried: As in `log_posterior`.
    """
    worked, known = data.shape[1], estimator.known_conditions
    device, beside = next(validity.parameters()).device, data[..., :known].float()
    counts = tried if events else np.full(len(data), worked)
    usual = log_mean_valid(validity, estimator.spec["theta_dim"] + known)

    @torch.inference_mode()
    def log_numbers(rows: Tensor, which: Tensor) -> Array:
        size = max(1, NUMBERS_AT_ONCE // (worked if known else 1))
        parts = []
        for z, index in zip(rows.split(size), which.split(size), strict=True):
            given = z[:, None]
            if known:
                own = beside[index]
                given = torch.cat((given.expand(-1, worked, -1), own), 2)
            flat = given.flatten(0, 1).to(device)
            both = torch.stack((validity.log_prob(flat), validity.log_failed(flat)))
            parts.append(both.double().view(2, *given.shape[:2]).mean(2).cpu())
        log_valid, log_failed = torch.cat(parts, 1).numpy()
        each = None if counts is None else np.asarray(counts)[which.numpy()]
        return log_of_numbers(log_valid, log_failed, worked, each, usual)

    return log_numbers


@torch.inference_mode()
def pointwise(
    estimator: Estimator, x: Array, z: Array, batch: int | None = None, *, counted: bool = False
) -> Array:
    """Return the log likelihood of each event of one data set at each z, ``(n, events)``.

    Args:
        estimator: Trained on single events, with target "likelihood".
        x: The events, ``(events, *x_shape)``.
        z: ``(n, theta_dim)``.
        batch: Rows given to the network at once; by default `AT_ONCE`.
        counted: Whether the number of events that were tried is known, so that each of these adds
            that it worked; they have no known conditions then.

    Raises:
        ValueError: The events do not have the shape trained on.
    """
    data = torch.as_tensor(check_x(estimator, x[None], events=True))
    at_once = _at_once(estimator, batch, data.shape[1])
    rows = torch.as_tensor(z, dtype=torch.float32).split(at_once)
    parts = [_of_events(estimator, part, data.expand(len(part), *data.shape[1:])) for part in rows]
    values = torch.cat(parts)
    if counted and estimator.validity is not None:
        device = next(estimator.validity.parameters()).device
        values += estimator.validity.log_prob(torch.cat(rows).to(device)).cpu()[:, None]
    return np.asarray(values.numpy())


@torch.inference_mode()
def chance_to_work(estimator: Estimator, x: Array, z: Array) -> float:
    """Return the probability of an event to work, at least, for 95 % of the draws of a posterior.

    Args:
        estimator: Trained on single events.
        x: The events of an observation as they are shown, ``(events, *x_shape)``.
        z: Draws, ``(n, theta_dim)``.
    """
    validity, known = estimator.validity, estimator.known_conditions
    if validity is None:
        return 1.0
    given = torch.as_tensor(z, dtype=torch.float32)
    if known:
        beside = torch.as_tensor(np.resize(x[:, :known], (len(z), known)), dtype=torch.float32)
        given = torch.cat((given, beside), 1)
    device = next(validity.parameters()).device
    return float(validity.log_prob(given.to(device)).exp().quantile(0.05))


def _at_once(estimator: Estimator, batch: int | None, events: int) -> int:
    """Return of how many z a network is asked at once, with all events of each."""
    usual = AT_ONCE[next(estimator.parameters()).device.type]
    return max(1, (usual if batch is None else batch) // events)


def _of_events(estimator: Estimator, z: Tensor, data: Tensor) -> Tensor:
    """Return log_prob of each event, ``(n, events)``, of rows z and their data sets."""
    device = next(estimator.parameters()).device
    pairs = z.repeat_interleave(data.shape[1], 0), data.flatten(0, 1)
    values = estimator.log_prob(*(each.to(device) for each in pairs))
    return values.cpu().double().view(len(z), data.shape[1])


@torch.inference_mode()
def _summaries(estimator: Estimator, x: Tensor) -> Tensor | None:
    """Return what a density sees of data sets, ``(m, elements)``, unless that is large itself."""
    device, parts = next(estimator.parameters()).device, []
    for part in x.split(100):
        summary = estimator.summarise(part.to(device))
        if summary is None or summary.shape[1] > MOST_REPEATED:
            return None
        parts.append(summary)
    return torch.cat(parts)


def _of_summaries(estimator: Estimator, z: Tensor, summaries: Tensor) -> Tensor:
    """Return log_prob of rows z and of what is seen of their data sets, ``(n,)``."""
    return estimator.log_prob_of_summary(z.to(summaries.device), summaries).cpu().double()


def _of_one(estimator: Estimator, z: Tensor, x: Tensor, at_once: int) -> Tensor:
    """Return log_prob of rows z, ``(n,)``, for one data set, ``x_shape``."""
    device = next(estimator.parameters()).device
    parts = [estimator.log_prob(part.to(device), x.to(device)) for part in z.split(at_once)]
    return torch.cat(parts).cpu().double()


def log_normal(z: Array) -> Array:
    """Log density of N(0, I) in nats over the last axis, ``(..., dim) -> (...)``."""
    return np.asarray(-0.5 * np.sum(z**2, axis=-1) - z.shape[-1] / 2 * np.log(2 * np.pi))


def to_theta_density(log_prob: Array, z: Array, prior: Prior) -> Array:
    """Turn a log density of z into that of theta, ``(n,)``, by the rule at the top."""
    return np.asarray(log_prob - log_normal(z) + prior.log_prob(prior.from_normal(z)))


def check_joins(estimator: Estimator) -> None:
    """Refuse to join observations where the method has no density of all parameters together.

    Raises:
        ValueError: It has not.
    """
    traits = estimator.traits
    if traits.density and traits.joint:
        return
    others = having(lambda traits: traits.density and traits.joint)
    why = "has no density" if not traits.density else "learns margins, which do not multiply"
    raise ValueError(
        f"{estimator.spec['method']} {why}: observations cannot be joined; take {others}"
    )


def doubts(estimator: Estimator, x: Array) -> list[str]:
    """Return what an estimator says of an observation that no simulation is like.

    Args:
        estimator: A trained estimator.
        x: One data set, ``x_shape``, or several, ``(n, *x_shape)``.
    """
    data = torch.as_tensor(_real(x)).reshape(-1, *estimator.shown_shape)
    return estimator.doubts(data.to(next(estimator.parameters()).device))


def check_x(estimator: Estimator, x: Array, events: bool = False) -> Array:
    """Return data sets ``(m, *shown_shape)``, or ``(m, events, ...)``, after a look at them.

    Numbers are in this machine's byte order.

    Raises:
        ValueError: The shape is not the one trained on, or a value is no finite real number; NaN is
            fine where elements were missing in training.
    """
    x, wanted = _real(x), estimator.shown_shape
    if not x.size or x.shape[1 + events :] != wanted:
        several = "(events, ...) of " if events else ""
        raise ValueError(
            f"x has shape {x.shape[1:]} a data set; the estimator learnt {several}{wanted}"
        )
    if takes_gaps(estimator):
        if np.isinf(x).any():
            raise ValueError(f"x has {np.isinf(x).sum()} values that are infinite")
    elif not np.isfinite(x).all():
        raise ValueError(
            f"x has {np.sum(~np.isfinite(x))} values that are NaN or infinite; where elements can "
            f"be missing, {TO_DECLARE}, and train with that"
        )
    return x


def _real(x: Array) -> Array:
    """Return real numbers that torch takes: native bytes in order, at most double precision."""
    x = np.asarray(x, order="C")  # torch takes no negative strides
    if x.dtype.kind not in "biuf":
        raise ValueError(f"x holds {x.dtype}; wanted real numbers")
    if x.dtype.kind == "f" and x.dtype.itemsize > 8:
        return x.astype(np.float64)
    return x.astype(x.dtype.newbyteorder("="), copy=False)
