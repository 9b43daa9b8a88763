"""What can be judged of observations: posteriors, pairs of them, what they are held against."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr

from .subjects import TrainedEstimator
from .types import Array

QUANTILES = {"q05": 0.05, "q16": 0.16, "q50": 0.5, "q84": 0.84, "q95": 0.95}
"""Those of every parameter's draws in tables, by column."""
DISCRETE = ("values", "probabilities")
FEWEST_PREDICTIONS, FEW_PREDICTIONS = 20, 500
"""Among fewer an observation is not ranked; among few its p-value cannot be as small as a failure
of the check."""


@dataclass(frozen=True)
class SampledPosterior:
    """What one estimator, or a refinement of one, says of one observation.

    Attributes:
        name: Of the estimator or refinement, as in the configuration.
        observation: Its name.
        tree: ``posterior.nc``.
        summary: ``diagnostics.csv``.
        predictive: ``predictive.nc`` if there is one.
        held_out_edges: How held-out posteriors of its estimator lean on the edges of the prior: the
            largest fraction of draws outside the central 99 % of it over parameters, ``(n,)``;
            None where there are none.
        sbc: ``posterior_sbc.nc`` if there is one.
    """

    kind: ClassVar[str] = "posterior"

    name: str
    observation: str
    tree: xr.DataTree
    summary: pd.DataFrame
    predictive: xr.Dataset | None = None
    held_out_edges: Array | None = None
    sbc: xr.Dataset | None = None

    @property
    def title(self) -> str:
        """How it is called beside its checks."""
        return f"{self.name}, {self.observation}"

    @property
    def names(self) -> Mapping[str, str]:
        """Names of what made it and of its observation."""
        return {"estimator": self.name, "observation": self.observation}

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the sampler told of its run."""
        return self.tree["sample_stats"].attrs

    @property
    def independent(self) -> bool:
        """Whether the draws are no chain, so that they have no steps and no ensembles."""
        return bool(self.facts["independent"])

    @property
    def joint(self) -> bool:
        """Whether parameters were drawn together, and not each from its margin alone."""
        return "margins" not in self.facts

    @property
    def x_o(self) -> Array:
        """The observation, ``x_shape``."""
        return np.asarray(self.tree["observed_data"]["x"].to_numpy())

    @property
    def known(self) -> dict[str, Array]:
        """Known conditions of the observation by name, a number each, or one for each event."""
        if "constant_data" not in self.tree.children:
            return {}
        given = self.tree["constant_data"].data_vars
        return {str(name): np.asarray(values.to_numpy()) for name, values in given.items()}

    @property
    def notes(self) -> list[str]:
        """Sentences: MCMC that did not converge, predictions, and probabilities of parameters."""
        found = [] if self.facts["converged"] else [str(self.facts.get("statement", ""))]
        if not self.joint:
            found.append(
                "Each parameter was learnt alone (marginal ratios): correlations are not in these "
                "draws, and predictions from them scatter as if there were none."
            )
        if self.tree.attrs.get("new_priors"):
            found.append(
                "Held-out truths are not drawn from its prior, so that its calibration is not "
                "judged; that of its proposal is, under the prior that was simulated."
            )
        found += [*self._of_correction(), *self._of_weights(), *self._of_predictions()]
        if self.sbc is not None and "problem" in self.sbc.attrs:
            found.append(f"Posterior SBC was not made: {self.sbc.attrs['problem']}.")
        for name, variable in self.tree["posterior"].data_vars.items():
            if "values" in variable.attrs:
                pairs = zip(*(np.atleast_1d(variable.attrs[key]) for key in DISCRETE), strict=True)
                listed = ", ".join(f"P({name} = {value:g}) = {p:.3g}" for value, p in pairs)
                found.append(f"{listed}.")
        return found

    def _of_correction(self) -> Iterator[str]:
        """Yield how draws were moved that are recalibrated."""
        told = self.tree.attrs
        if "recalibrated_from" not in told:
            return
        values = zip(np.atleast_1d(told["scale"]), np.atleast_1d(told["shift"]), strict=True)
        each = [
            f"{name}: width × {scale:.2f}, moved by {shift:+.2f} sd"
            for name, (scale, shift) in zip(self.inferred, values, strict=True)
            if (scale, shift) != (1, 0)
        ]
        yield (
            f"Recalibrated: draws of {told['recalibrated_from']} corrected by the ranks of "
            f"{told['fitted']} held-out simulations ({'; '.join(each) or 'nothing to correct'}), "
            f"judged by {told['judged']} others. This is right on average over the prior: faults "
            "that only some data have, and those of correlations, are not mended."
        )

    def _of_weights(self) -> Iterator[str]:
        """Yield what draws are worth that were resampled by weight."""
        if "origin" in self.tree["sample_stats"]:
            origin = self.tree["sample_stats/origin"].to_numpy()
            yield (
                f"Draws of {self.tree.attrs['proposal']} resampled by weight: "
                f"{np.unique(origin).size:,} of {origin.size:,} are different ones, worth "
                f"{self.facts['effective']:,.0f} independent draws (k-hat "
                f"{self.facts['k_hat']:.2f})."
            )

    def _of_predictions(self) -> Iterator[str]:
        """Yield what is to be known of the predictions: none, few, or some that failed."""
        if self.predictive is None:
            yield (
                "No data were predicted (predictive_draws: 0, or existing simulations without a "
                "simulator), so nothing is said of whether the model could have made the "
                "observation."
            )
            return
        if "problem" in self.predictive.attrs:
            yield f"No data could be predicted: {self.predictive.attrs['problem']}."
            return
        draws, told = self.predictive.sizes["replicate"], self.predictive.attrs
        if told.get("from_prior"):
            yield f"The bands of predictions have nuisances of the prior: {told['from_prior']}."
        if draws < FEWEST_PREDICTIONS:
            yield f"{draws} predictions of one draw are too few to compare the observation with."
        elif draws < FEW_PREDICTIONS:
            yield (
                f"{draws} data sets were predicted of one draw: a p-value below "
                f"{1 / (draws + 1):.1g} cannot be told, so that a misfit may warn and not fail."
            )
        if told.get("failed"):
            reasons = ", ".join(f"{n} {why}" for why, n in json.loads(told["failures"]).items())
            yield f"{told['failed']} of {told['simulated']} predictions failed ({reasons})."

    @property
    def ranked(self) -> xr.Dataset | None:
        """The ranks of posterior SBC, if it was asked for and could be made."""
        return None if self.sbc is None or "problem" in self.sbc.attrs else self.sbc

    @property
    def inferred(self) -> list[str]:
        """Names of the parameters that are no function of others."""
        draws = self.tree["posterior"].data_vars
        return [str(name) for name, values in draws.items() if "derived" not in values.attrs]

    @property
    def columns(self) -> dict[str, Array]:
        """Draws by parameter, derived ones left out, each ``(n,)``."""
        draws = self.tree["posterior"]
        return {name: draws[name].to_numpy().ravel() for name in self.inferred}

    @property
    def periods(self) -> dict[str, tuple[float, float]]:
        """Ends of the periodic parameters by name."""
        draws = self.tree["posterior"]
        own = {name: draws[name].attrs.get("period") for name in self.inferred}
        return {name: tuple(each) for name, each in own.items() if each is not None}

    @property
    def effective(self) -> dict[str, float]:
        """Effective sample sizes by parameter."""
        return dict(zip(self.summary["parameter"], self.summary["ess_bulk"], strict=True))

    @cached_property
    def truth(self) -> dict[str, float]:
        """Known true values by parameter."""
        rows = self.summary.dropna(subset=["truth"])
        return dict(zip(rows["parameter"], rows["truth"].astype(float), strict=True))

    @cached_property
    def rows(self) -> list[dict[str, object]]:
        """Rows of the summary; empty texts, which CSV files turn into NaN, are empty again."""
        texts = ("parameter", "label", "unit", "derived")
        return [
            {name: "" if name in texts and pd.isna(v) else v for name, v in row.items()}
            for row in self.summary.to_dict("records")
        ]


@dataclass(frozen=True)
class PosteriorPair:
    """Two posteriors of one observation, neither of them made from the other.

    Attributes:
        one: A posterior.
        other: Another one, the reference for widths.
        detailed: Whether a second may be spent on it: too long where there are hundreds.
    """

    kind: ClassVar[str] = "pair of posteriors"

    one: SampledPosterior
    other: SampledPosterior
    detailed: bool = True

    @property
    def pair(self) -> str:
        """The names of both."""
        return f"{self.one.name} and {self.other.name}"

    @property
    def title(self) -> str:
        """How it is called beside its checks."""
        return f"{self.pair}, {self.one.observation}"

    @property
    def names(self) -> Mapping[str, str]:
        """Names of both and of the observation."""
        return {"pair": self.pair, "observation": self.one.observation}


@dataclass(frozen=True)
class ObservedData:
    """One observation, its posteriors, and simulations to compare it with.

    Attributes:
        name: As in the configuration.
        source: Where it came from, in words.
        posteriors: By estimator, in the order of the configuration.
        simulated: Data of simulations to compare it with, ``(n, *x_shape)``.
        inferred: Parameters in the order of the configuration.
        detailed: Whether the page shows figures of it, and a second may be spent on a pair.
        simulated_known: Known conditions of these simulations, ``(n, known)``; None for none.
        conditions: Names of the known conditions.
        missing: The fraction of each simulation that is missing as it was trained on, ``(n,)``;
            None where nothing is.
    """

    kind: ClassVar[str] = "observation"

    name: str
    source: str
    posteriors: Mapping[str, SampledPosterior]
    simulated: Array
    inferred: Sequence[str]
    detailed: bool = True
    simulated_known: Array | None = None
    conditions: Sequence[str] = ()
    missing: Array | None = None

    @property
    def title(self) -> str:
        """How it is called beside its checks."""
        return self.name

    @property
    def names(self) -> Mapping[str, str]:
        """Its name."""
        return {"observation": self.name}

    @property
    def x_o(self) -> Array | None:
        """The observation, ``x_shape``, or several; None without a posterior."""
        return next((each.x_o for each in self.posteriors.values()), None)

    @property
    def known(self) -> dict[str, Array]:
        """Its known conditions by name, a number each, or one for each event."""
        given = next((each.known for each in self.posteriors.values()), {})
        return {name: given[name] for name in self.conditions if name in given}

    @property
    def pairs(self) -> list[PosteriorPair]:
        """Pairs of posteriors, but for one refined and its own proposal: those are meant to differ.

        What the proposal missed shows in the weights.
        """
        found = []
        for one, other in itertools.combinations(self.posteriors.values(), 2):
            proposals = [each.tree.attrs.get("proposal") for each in (one, other)]
            if one.name != proposals[1] and other.name != proposals[0]:
                found.append(PosteriorPair(one, other, self.detailed))
        return found

    @property
    def truth(self) -> dict[str, float]:
        """Known true values by parameter."""
        known: dict[str, float] = {}
        for each in self.posteriors.values():
            known |= each.truth
        return known


@dataclass(frozen=True)
class Neighbourhood:
    """An estimator, an observation, and the held-out simulations some of which are like it.

    Attributes:
        estimator: A calibrated estimator.
        posterior: What it says of the observation.
        known: Known conditions of the held-out simulations, in the order of the calibration,
            ``(n, known)``; None for none.
        conditions: Names of the known conditions.
    """

    kind: ClassVar[str] = "estimator, observation"

    estimator: TrainedEstimator
    posterior: SampledPosterior
    known: Array | None = None
    conditions: Sequence[str] = ()

    @property
    def title(self) -> str:
        """How it is called beside its checks."""
        return self.posterior.title

    @property
    def names(self) -> Mapping[str, str]:
        """Names of the estimator and of the observation."""
        return self.posterior.names


@dataclass(frozen=True)
class ManyEvents:
    """An estimator, and an observation of many events whose likelihoods it multiplies.

    Attributes:
        estimator: A calibrated estimator.
        posterior: What it says of the observation.
    """

    kind: ClassVar[str] = "estimator, many events"

    estimator: TrainedEstimator
    posterior: SampledPosterior

    @property
    def title(self) -> str:
        """How it is called beside its checks."""
        return self.posterior.title

    @property
    def names(self) -> Mapping[str, str]:
        """Names of the estimator and of the observation."""
        return self.posterior.names


def ensemble_labels(posterior: xr.DataTree) -> Array:
    """Return which ensemble each chain belongs to, ``(chains,)``."""
    for group in ("sample_stats", "posterior"):
        if group in posterior.children and "ensemble" in posterior[group].coords:
            return np.asarray(posterior[group].coords["ensemble"].to_numpy())
    return np.arange(posterior["posterior"].sizes["chain"])
