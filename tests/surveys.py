"""Synthetic tables of objects with known answers, healthy or broken on purpose.

Conjugate as in `synthetic`: theta ~ N(0, 1) for each of some parameters, x = theta + N(0, noise²).
"""

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from sbi_pipeline.populations import CatalogueParameter, ObservedCatalogue, Population
from sbi_pipeline.reports import assessment
from sbi_pipeline.sampled_posteriors import QUANTILES

LABELS = ("$M$", r"$\chi$", r"$z$", r"$\log L$", r"$\alpha$", r"$\beta$")
UNITS = (r"$M_\odot$", "", "", "erg/s", "", "")


def population(
    n=1000,
    seed=0,
    *,
    parameters=2,
    draws=200,
    truths=True,
    width=1.0,
    shift=0.0,
    outliers=0.0,
    spread=1.0,
    centre=0.0,
    noise=0.5,
    who="npe",
    mcmc=False,
    reference=2000,
    least_p=None,
    predictions=500,
    shown=0,
):
    """What an estimator says of a catalogue; ``width`` and ``shift`` (in sds) are its faults.

    ``outliers`` is the fraction of objects unlike simulations, ``spread`` and ``centre`` say how
    the true values lie in units of the prior.
    """
    rng, drawn = np.random.default_rng(seed), np.random.default_rng([seed, len(who), draws])
    columns = {"object": [f"obj_{i:05d}" for i in range(n)]}
    names = [f"theta_{i + 1}" for i in range(parameters)]
    edge = np.zeros(n)
    limit = stats.norm.ppf(0.995)
    for i, name in enumerate(names):
        scatter = noise * 1.4**i * rng.lognormal(0, 0.3, size=n)
        truth = centre + spread * rng.normal(size=n)
        x = truth + scatter * rng.normal(size=n)
        shrink = 1 / (1 + scatter**2)
        exact = np.sqrt(scatter**2 * shrink)
        mean, sd = shrink * x + shift * exact, width * exact
        columns |= {f"{name}_mean": mean, f"{name}_sd": sd}
        columns |= {f"{name}_{q}": mean + sd * stats.norm.ppf(p) for q, p in QUANTILES.items()}
        if truths:
            below = stats.norm.cdf((truth - mean) / sd)
            rank = drawn.binomial(draws, below) / draws
            columns |= {f"{name}_truth": truth, f"{name}_rank": rank}
        outside = stats.norm.sf((limit - mean) / sd) + stats.norm.cdf((-limit - mean) / sd)
        edge = np.maximum(edge, outside)
    strange = rng.random(n) < outliers
    columns["in_distribution_p"] = _among(rng, n, reference, strange)
    own = drawn.binomial(predictions, drawn.random(n))
    columns["predictive_p"] = np.where(strange, 1, own + 1) / (predictions + 1)
    columns["predictions"] = predictions
    columns["at_edge"] = edge
    if mcmc:
        columns |= {"r_hat": 1 + 0.005 * rng.random(n), "ess": 400.0, "converged": 1}
    columns["flags"] = _flags(columns)
    table = pd.DataFrame(columns)
    if mcmc:
        table["converged"] = (table["r_hat"] < 1.01).astype(int)
    described = {
        name: CatalogueParameter(LABELS[i], UNITS[i], 0.0, 1.0) for i, name in enumerate(names)
    }
    return Population(
        who,
        "survey",
        table,
        described,
        draws,
        reference=reference,
        least_p=1 / (1 + reference) if least_p is None else least_p,
        worst=data_of(table, shown) if shown else None,
        seconds=12.3,
        notes=["Drawn in batches."],
    )


def data_of(table, shown, shape=(30,)):
    """Data of flagged objects, and quantiles of what is predicted of them."""
    rng = np.random.default_rng(1)
    smallest = table[["in_distribution_p", "predictive_p"]].min(axis=1)
    flagged = table.loc[smallest.sort_values(kind="stable").index]
    flagged = flagged[flagged["flags"] != ""].head(shown)
    names, shown = list(flagged["object"]), len(flagged)
    day = np.arange(shape[0], dtype=float)
    curve = np.broadcast_to(np.exp(-0.5 * ((day - 12) / 5) ** 2), shape[::-1]).T * 10
    noise = stats.norm.ppf([0.05, 0.25, 0.5, 0.75, 0.95]).reshape(-1, *[1] * len(shape))
    x = curve * 1.3 + rng.normal(size=(shown, *shape))
    dims = [f"x_dim_{i}" for i in range(len(shape))]
    predicted = np.broadcast_to(curve + noise, (shown, 5, *shape))
    return xr.Dataset(
        {"x": (("object", *dims), x, {"label": "flux", "unit": "mJy"}),
         "predicted": (("object", "level", *dims), predicted)},
        coords={"object": names, "x_dim_0": ("x_dim_0", day, {"label": "day"})},
    )  # fmt: skip


def observed(*populations):
    """A catalogue of these."""
    return ObservedCatalogue(
        "survey", "table objects.csv", {each.name: each for each in populations}
    )


def checks_of(*populations):
    """Every check of a catalogue."""
    survey = observed(*populations)
    subjects = [*populations, *survey.pairs, survey]
    found = assessment.assess([[each] for each in subjects], {})
    return [check for each in found for check in each.checks]


def _among(rng, n, reference, strange):
    """P-values of objects ranked among the same simulations, smallest for strange ones."""
    simulated = np.sort(rng.normal(size=reference))
    own = np.where(strange, 10.0, rng.normal(size=n))
    larger = reference - np.searchsorted(simulated, own)
    return (larger + 1) / (reference + 1)


def _flags(columns):
    asked = {
        "unlike simulations": columns["in_distribution_p"] <= 0.01,
        "misfit": columns["predictive_p"] <= 0.01,
        "edge": columns["at_edge"] > 0.05,
    }
    rows = zip(*asked.values(), strict=True)
    return ["; ".join(flag for flag, has in zip(asked, row, strict=True) if has) for row in rows]
