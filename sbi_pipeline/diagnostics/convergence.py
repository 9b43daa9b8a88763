"""Posterior summaries, and whether the draws behind them are enough.

R-hat is rank-normalised split R-hat across *independent ensembles*: the walkers of one emcee
ensemble move each other, so they must not count as separate chains. Effective sample sizes take
walkers as chains, which is right for them: they only measure how correlated the draws are.

References:
    Vehtari, Gelman, Simpson, Carpenter, Bürkner, Rank-normalization, folding, and localization: an
    improved R-hat, 2021, https://doi.org/10.1214/20-BA1221
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base import array_stats
from scipy import stats

from ..expressions import Expression
from ..priors.circles import Period, circular_mean, circular_sd, rolled, unrolled
from ..priors.edges import mass_at_edges
from ..sampled_posteriors import QUANTILES, ensemble_labels
from ..types import Array

TAILS = (0.05, 0.95)
"""Quantiles whose effective draws are those of the tails."""
FIXED = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles, for each of which effective draws are counted."""
COLUMNS = (
    *("parameter", "label", "unit", "derived", "period", "mean", "sd", *QUANTILES),
    *(
        "r_hat",
        "ess_bulk",
        "ess_tail",
        "ess_least",
        "mcse_mean",
        "autocorrelation_time",
        "acceptance",
    ),
    *("prior_mean", "prior_sd", "sd_ratio", "kl_nats", "at_edge", "truth"),
)


def summary(posterior: xr.DataTree, truth: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Summarise every parameter of a posterior, derived ones too.

    Args:
        posterior: The tree of ``posterior.nc``: groups ``posterior``, ``sample_stats``, ``prior``.
        truth: Known true values by parameter; those of derived parameters follow from them, and
            what cannot be known becomes NaN.

    Returns:
        One row a parameter, columns `COLUMNS`; values in the parameter's own unit. ``r_hat`` is NaN
        for draws that are no chain or without ensembles to compare, ``sd_ratio`` is posterior sd
        over prior sd, ``kl_nats`` the divergence of the marginal from its prior in nats,
        ``ess_least`` the smallest effective number of draws for the mean and for each of the
        quantiles `FIXED`, ``at_edge`` the fraction of draws outside the central 99 % of the prior.
        A periodic parameter has a ``period``, its circular mean and sd, quantiles of the circle cut
        opposite to the mean, and no edge; its chains are judged by the worse of cosine and sine.
    """
    draws = posterior["posterior"].to_dataset()
    rows = [
        _row(posterior, str(name), _truth(variable, truth or {}))
        for name, variable in draws.data_vars.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def ensembles(posterior: xr.DataTree, name: str) -> Array:
    """Return the draws of one parameter by independent ensemble, ``(ensembles, draws)``.

    The walkers of an ensemble become one long chain ordered by step, then walker. Without an
    ``ensemble`` coordinate every chain counts as independent.

    Raises:
        ValueError: The ensembles differ in how many walkers they have.
    """
    values = posterior[f"posterior/{name}"].transpose("chain", "draw").to_numpy()
    return _by_ensemble(posterior, name, values)


def _by_ensemble(posterior: xr.DataTree, name: str, values: Array) -> Array:
    """Return numbers for each draw, ``(chain, draw)``, as `ensembles` does."""
    labels = ensemble_labels(posterior)
    groups = [values[labels == label].T.ravel() for label in np.unique(labels)]
    sizes = sorted({group.size for group in groups})
    if len(sizes) > 1:
        raise ValueError(
            f"ensembles of {name!r} have {sizes} draws each; R-hat wants the same number: "
            "give every ensemble as many walkers"
        )
    return np.stack(groups)


def r_hat(chains: Array) -> float:
    """Return rank-normalised split R-hat of ``(chains, draws)``; NaN for fewer than two chains."""
    if chains.shape[0] < 2 or chains.shape[1] < 4:
        return float("nan")
    return float(array_stats.rhat(chains, method="rank"))


def least_effective(chains: Array) -> float:
    """Return the smallest effective number of draws for the mean and for quantiles of chains.

    For a quantile it is how many independent draws would know as well what fraction of the
    posterior lies below. Walkers that rarely pass from one mode to another have few for the
    quantile between the modes, where those of bulk and tails may be many.
    """
    quantiles = [array_stats.ess(chains, method="quantile", prob=each) for each in FIXED]
    return float(min(array_stats.ess(chains, method="mean"), *quantiles))


def divergence(draws: Array, prior: Array, neighbours: int = 40) -> float:
    """Estimate the divergence of a marginal from its prior in nats, from draws of both.

    Minus the entropy of the draws (by m-spacings) minus the mean log density of the prior, each
    from the window of its nearest draws. NaN for discrete parameters.

    Args:
        draws: Of the posterior, ``(n,)``.
        prior: Of the prior, ``(k,)``.
        neighbours: Prior draws in a window.
    """
    if prior.size <= neighbours:
        return float("nan")
    ends = np.sort(prior)
    first = np.searchsorted(ends, draws) - neighbours // 2
    first = np.clip(first, 0, ends.size - neighbours - 1)
    with np.errstate(divide="ignore"):
        log_prior = np.log(neighbours / ends.size / (ends[first + neighbours] - ends[first]))
        gained = -float(stats.differential_entropy(draws)) - float(log_prior.mean())
    return gained if np.isfinite(gained) else float("nan")


class OnLine:
    """How draws of a parameter are told of."""

    def moments(self, draws: Array) -> tuple[float, float]:
        """Return mean and sd."""
        return float(draws.mean()), float(draws.std(ddof=1))

    def quantiles(self, draws: Array, levels: Sequence[float]) -> Array:
        """Return quantiles."""
        return np.quantile(draws, levels)

    def numbers(self, draws: Array) -> list[Array]:
        """Return the numbers by which chains are judged."""
        return [draws]

    def unrolled(self, draws: Array, centre: float) -> Array:
        """Return draws as they are on a line."""
        return draws


@dataclass(frozen=True)
class OnCircle(OnLine):
    """How draws of a periodic parameter are told of."""

    period: Period

    def moments(self, draws: Array) -> tuple[float, float]:
        """Return circular mean and sd."""
        sd = 0.0 if not np.ptp(draws) else circular_sd(draws, self.period)
        return float(circular_mean(draws, self.period)), float(sd)

    def quantiles(self, draws: Array, levels: Sequence[float]) -> Array:
        """Return quantiles of the circle cut opposite to the mean, in the range of values."""
        mean = self.moments(draws)[0]
        return rolled(np.quantile(self.unrolled(draws, mean), levels), self.period)

    def numbers(self, draws: Array) -> list[Array]:
        """Return cosine and sine."""
        angle = 2 * np.pi * (draws - self.period[0]) / (self.period[1] - self.period[0])
        return [np.cos(angle), np.sin(angle)]

    def unrolled(self, draws: Array, centre: float) -> Array:
        """Return draws within half a period of a centre."""
        return unrolled(draws, self.period, centre)


def _row(tree: xr.DataTree, name: str, truth: float) -> dict[str, object]:
    variable = tree[f"posterior/{name}"].transpose("chain", "draw")
    chains = np.asarray(variable.to_numpy(), dtype=float)
    prior, period = _prior_draws(tree, name), variable.attrs.get("period")
    measured = OnLine() if period is None else OnCircle(tuple(np.asarray(period, dtype=float)))
    prior_mean, prior_sd = measured.moments(prior) if prior.size else (np.nan, np.nan)
    mean, sd = measured.moments(chains)
    levels = measured.quantiles(chains, list(QUANTILES.values()))
    seen = measured.numbers(chains)
    most = tree["sample_stats"].attrs.get("effective", np.inf)  # draws with weights count for less
    bulk = min(float(array_stats.ess(each, method="bulk")) for each in seen)
    tail = min(float(array_stats.ess(each, method="tail", prob=TAILS)) for each in seen)
    constant = sd == 0  # a discrete parameter of which one value is certain
    return {
        "parameter": name,
        "label": variable.attrs.get("label", name),
        "unit": variable.attrs.get("unit", ""),
        "derived": variable.attrs.get("derived", ""),
        "period": np.nan if period is None else float(period[1] - period[0]),
        "mean": mean,
        "sd": sd,
        **dict(zip(QUANTILES, map(float, levels), strict=True)),
        "r_hat": _r_hat(tree, name, seen, constant),
        "ess_bulk": min(most, chains.size if constant else bulk),
        "ess_tail": min(most, chains.size if constant else tail),
        "ess_least": min(most, chains.size if constant else min(map(least_effective, seen))),
        "mcse_mean": float(array_stats.mcse(measured.unrolled(chains, mean), method="mean")),
        "autocorrelation_time": _autocorrelation_time(tree, name),
        "acceptance": _acceptance(tree),
        "prior_mean": prior_mean,
        "prior_sd": prior_sd,
        "sd_ratio": sd / prior_sd if prior_sd > 0 else float("nan"),
        "kl_nats": divergence(
            measured.unrolled(chains, mean).ravel(), measured.unrolled(prior, mean)
        ),
        "at_edge": _at_edge(chains, prior) if period is None else np.nan,
        "truth": truth,
    }


def _r_hat(tree: xr.DataTree, name: str, seen: Sequence[Array], constant: bool) -> float:
    if tree["sample_stats"].attrs.get("independent"):
        return float("nan")
    return 1.0 if constant else max(r_hat(_by_ensemble(tree, name, each)) for each in seen)


def _truth(variable: xr.DataArray, truth: Mapping[str, float]) -> float:
    derived = variable.attrs.get("derived", "")
    if derived and variable.name not in truth:
        expression = Expression(derived)
        if not set(expression.names) <= set(truth):
            return float("nan")
        return float(expression({name: np.asarray(value) for name, value in truth.items()}))
    return float(truth.get(str(variable.name), np.nan))


def _prior_draws(tree: xr.DataTree, name: str) -> Array:
    if "prior" not in tree.children or name not in tree["prior"].data_vars:
        return np.empty(0)
    return np.asarray(tree[f"prior/{name}"].to_numpy(), dtype=float).ravel()


def _at_edge(draws: Array, prior: Array) -> float:
    if not prior.size:
        return float("nan")
    return float(mass_at_edges(draws.ravel(), prior))


def _autocorrelation_time(tree: xr.DataTree, name: str) -> float:
    """Return the sampler's autocorrelation time in steps; NaN if it has none for this parameter."""
    own = tree["sample_stats"].to_dataset()
    if "autocorrelation_time" not in own or name not in own["parameter"].to_numpy():
        return float("nan")
    return float(own["autocorrelation_time"].sel(parameter=name))


def _acceptance(tree: xr.DataTree) -> float:
    if "acceptance_rate" not in tree["sample_stats"]:
        return float("nan")
    return float(tree["sample_stats/acceptance_rate"].mean())
