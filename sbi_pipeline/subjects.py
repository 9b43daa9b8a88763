"""What can be judged: simulations and estimators, as loaded records; others stand elsewhere.

A diagnostic says which of these it is asked of, and measures on the record alone, which knows no
paths. ``title`` names a subject on the page and in ``verdict.json``; ``names`` fill in the names of
files of its figures. Posteriors and observations are in `sampled_posteriors`, catalogues in
`populations`, rounds in `rounds`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
import xarray as xr

from .types import Array, Prior

MOST_UNCONVERGED = 0.05
"""Fraction of held-out chains that may not have converged where ranks are judged."""
FEWEST_EFFECTIVE, MOST_UNSEEN = 20.0, 0.5
"""Draws that have to count, by weight, for the rank of a truth to tell anything, and the fraction
of held-out simulations that may have fewer where ranks are judged."""

ONE_ALONE = 2.0
"""Draws that count, by weight, below which one outweighs all others."""

NOT_SELECTED = "nan"
"""Why an event failed that is not selected: it has no data."""


class Subject(Protocol):
    """Something a diagnostic can be asked of."""

    kind: ClassVar[str]
    """What it is, in words."""

    @property
    def title(self) -> str:
        """How it is called beside its checks."""

    @property
    def names(self) -> Mapping[str, str]:
        """Names of the entries of the configuration it belongs to, by kind."""


@dataclass(frozen=True)
class SimulatedRows:
    """The simulations of a campaign.

    Attributes:
        rows: Simulations asked for.
        failures: Failed simulations by reason.
        failed_theta: Parameters of all rows, each ``(n,)``, and the reason each row failed, empty
            where it did not, ``(n,)``; None where none failed.
        weights: What is known of the weights of existing simulations, as a manifest tells it: the
            rows ``outside`` the prior, ``effective`` ones, ``drawn_from``; None for others.
        selection: What is said of how events that fail are selected, see `selection`; empty for
            nothing. Data that are NaN are no fault then.
    """

    kind: ClassVar[str] = "simulations"

    rows: int
    failures: Mapping[str, int]
    failed_theta: tuple[Mapping[str, Array], Array] | None = None
    weights: Mapping[str, Any] | None = None
    selection: str = ""

    @property
    def unmeant(self) -> dict[str, int]:
        """Failed simulations by reason, without events that are not selected."""
        meant = NOT_SELECTED if self.selection else ""
        return {reason: n for reason, n in self.failures.items() if reason != meant}

    @property
    def drawn_from(self) -> dict[str, str]:
        """What existing simulations were drawn from, by parameter, in words; none for the prior."""
        entries = (self.weights or {}).get("drawn_from") or {}
        return {name: _in_words(entry) for name, entry in entries.items()}

    @property
    def title(self) -> str:
        """How it is called beside its checks."""
        return "simulations"

    @property
    def names(self) -> Mapping[str, str]:
        """None: there is one of it."""
        return {}


def _in_words(entry: Mapping[str, Any]) -> str:
    arguments = (f"{key} {value}" for key, value in entry.items() if key != "type")
    return ", ".join([str(entry["type"]), *arguments])


@dataclass(frozen=True)
class TrainedEstimator:
    """One trained estimator, or a posterior refined from one, as far as held-out data tell of it.

    Attributes:
        name: As in the configuration.
        method: Its method.
        history: ``history.csv``; None of a refined posterior, which is not trained.
        calibration: ``calibration.nc`` if there is one.
        failures: What it knows of failed simulations: ``simulated``, ``failed``, ``target``,
            ``modelled``; empty where that was not recorded.
        search: Candidates of a grid, as `training.search.search` tells them, or methods that were
            compared, as `choosing.learn_campaign` does; empty without any.
        departure: How its rows differ from the prior, as `priors.departure` tells it; None where
            they were drawn from it.
        left_out: How many ``columns`` of x it leaves out ``of`` how many, where it was not told to;
            None for none.
        events_in_box: Whether it learnt single events within a box of the prior that holds the
            posterior of many: one of them need not tell anything there.
        prior: Of its parameters, within the box it was trained in; None where nobody asks.
        masks: What missing elements say of the parameters, as `networks.masks` tells it; None where
            none can be missing.
        others: Calibrations of the other estimators of the campaign, by name.
        unseen: What of x its network does not see, and the option that shows it; empty for nothing.
        usual_epochs: How many epochs such a training takes where no number is given; None where
            that was not recorded.
    """

    kind: ClassVar[str] = "estimator"

    name: str
    method: str
    history: pd.DataFrame | None
    calibration: xr.Dataset | None = None
    failures: Mapping[str, Any] = field(default_factory=dict)
    search: Sequence[Mapping[str, Any]] = ()
    departure: Mapping[str, Any] | None = None
    left_out: Mapping[str, int] | None = None
    events_in_box: bool = False
    masks: Mapping[str, Any] | None = None
    prior: Prior | None = None
    others: Mapping[str, xr.Dataset] = field(default_factory=dict)
    unseen: str = ""
    usual_epochs: int | None = None

    @property
    def title(self) -> str:
        """How it is called beside its checks."""
        return self.name

    @property
    def names(self) -> Mapping[str, str]:
        """Its name."""
        return {"estimator": self.name}

    @property
    def unconverged(self) -> float:
        """Fraction of held-out simulations whose chains had not converged; 0 without chains."""
        if self.calibration is None or "converged" not in self.calibration:
            return 0.0
        return float((self.calibration["converged"] == 0).mean())

    @property
    def unweighed(self) -> float:
        """Fraction of held-out simulations of which few draws count; 0 without weights."""
        if self.calibration is None or "effective" not in self.calibration:
            return 0.0
        return float((self.calibration["effective"] < FEWEST_EFFECTIVE).mean())

    @property
    def missed(self) -> float:
        """Fraction of held-out simulations of which one draw outweighs all; 0 without weights."""
        if self.calibration is None or "effective" not in self.calibration:
            return 0.0
        return float((self.calibration["effective"] < ONE_ALONE).mean())

    @property
    def ranked(self) -> xr.Dataset | None:
        """The calibration, if its draws are those of the posteriors.

        Of chains on their way there the sampler would be judged, and not the estimator; of weights
        that leave next to nothing, nothing.
        """
        judged = self.unconverged <= MOST_UNCONVERGED and self.unweighed <= MOST_UNSEEN
        return self.calibration if judged else None

    @property
    def edges(self) -> Array | None:
        """How each held-out posterior leans on the edges of its prior, ``(n,)``; None if unknown.

        The largest fraction of draws outside the central 99 % of the prior over parameters.
        """
        if self.ranked is None or "at_edge" not in self.ranked:
            return None
        return np.asarray(self.ranked["at_edge"].to_numpy())

    @property
    def was_chosen(self) -> bool:
        """Whether it is mixed or chosen of several methods, compared by held-out simulations."""
        return sum(each["epochs"] > 0 for each in self.search if "method" in each) > 1

    @property
    def chosen_from(self) -> str:
        """What became of the methods it was chosen from, in a sentence; empty of none."""
        told = [f"{each['method']}: {each['told']}" for each in self.search if "method" in each]
        return f"It is a mixture, weighed by held-out simulations ({'; '.join(told)})." * bool(told)

    @property
    def candidates(self) -> list[dict[str, Any]]:
        """Candidates, the best first: settings or method in words, loss, epochs."""
        found = []
        for each in sorted(self.search, key=_loss):
            parts = [each.get("network", {}), each.get("training", {})]
            words = each.get("method") or ", ".join(
                f"{key}: {value}" for part in parts for key, value in part.items()
            )
            found.append({**each, "settings": words})
        return found


def _loss(candidate: Mapping[str, Any]) -> float:
    """Return what candidates are sorted by; those that were not begun come last."""
    loss = candidate["validation_loss"]
    return math.inf if loss is None else float(loss)


@dataclass(frozen=True)
class Nuisances:
    """What was learnt of the nuisances, for predictions.

    Attributes:
        ranks: ``nuisance_ranks.nc``.
    """

    kind: ClassVar[str] = "nuisances"

    ranks: xr.Dataset

    @property
    def title(self) -> str:
        """How it is called beside its checks."""
        return "nuisances"

    @property
    def names(self) -> Mapping[str, str]:
        """None: there is one of it."""
        return {}


def beside_each_other(estimators: Sequence[TrainedEstimator]) -> list[TrainedEstimator]:
    """Return estimators that know what the others say of held-out simulations, where that is told.

    What the chains of some did not reach says nothing of the others, and one that is recalibrated
    knows no more than what it was made of.
    """
    told = {each.name: each.ranked for each in estimators if each.method != "recalibrated"}
    return [
        replace(
            each,
            others={
                name: data for name, data in told.items() if data is not None and name != each.name
            },
        )
        for each in estimators
    ]


def calibrations(estimators: Iterable[TrainedEstimator]) -> dict[str, xr.Dataset]:
    """Return calibrations by estimator, of those that have one."""
    return {each.name: each.calibration for each in estimators if each.calibration is not None}
