"""What a report page tells, as loaded objects that know no paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from ..checks import Check
from ..checks.check import STATUSES
from ..diagnostics.calibration import uniformity
from ..diagnostics.information import Information, information
from ..types import Array

DISCRETE = ("values", "probabilities")
MAX_SHOWN = 8


@dataclass(frozen=True)
class Parameter:
    """A parameter of the question.

    Attributes:
        name: As in the configuration.
        role: Inferred, dropped to marginalise over it, or derived from inferred ones.
        prior: The prior, or the expression of a derived parameter, in words.
        label: LaTeX between dollars, or text; the name if empty.
        unit: May be empty.
    """

    name: str
    role: Literal["inferred", "nuisance", "derived"]
    prior: str
    label: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Estimator:
    """One trained estimator.

    Attributes:
        name: As in the configuration.
        method: Its method.
        history: ``history.csv``.
        calibration: ``calibration.nc`` if there is one.
        failures: What it knows of failed simulations, arguments of `checks.modelled_failures`.
        search: Candidates of a grid, as `training.search.search` tells them; empty without one.
    """

    name: str
    method: str
    history: pd.DataFrame
    calibration: xr.Dataset | None = None
    failures: Mapping[str, Any] = field(default_factory=dict)
    search: Sequence[Mapping[str, Any]] = ()

    @property
    def candidates(self) -> list[dict[str, Any]]:
        """Candidates of the grid, the best first: settings in words, loss, epochs."""
        found = []
        for each in sorted(self.search, key=lambda candidate: candidate["validation_loss"]):
            parts = [each["network"], each["training"]]
            words = ", ".join(f"{key}: {value}" for part in parts for key, value in part.items())
            found.append({**each, "settings": words})
        return found


@dataclass(frozen=True)
class Posterior:
    """What one estimator says of one observation.

    Attributes:
        tree: ``posterior.nc``.
        summary: ``diagnostics.csv``.
        predictive: ``predictive.nc`` if there is one.
    """

    tree: xr.DataTree
    summary: pd.DataFrame
    predictive: xr.Dataset | None = None

    @property
    def x_o(self) -> Array:
        """The observation, ``x_shape``."""
        return np.asarray(self.tree["observed_data"]["x"].to_numpy())

    @property
    def notes(self) -> list[str]:
        """Sentences: MCMC that did not converge, and probabilities of discrete parameters."""
        facts = self.tree["sample_stats"].attrs
        found = [] if facts.get("converged", 1) else [str(facts.get("statement", ""))]
        for name, variable in self.tree["posterior"].data_vars.items():
            if "values" in variable.attrs:
                pairs = zip(*(np.atleast_1d(variable.attrs[key]) for key in DISCRETE), strict=True)
                listed = ", ".join(f"P({name} = {value:g}) = {p:.3g}" for value, p in pairs)
                found.append(f"{listed}.")
        return found

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
    def effective(self) -> dict[str, float]:
        """Effective sample sizes by parameter."""
        return dict(zip(self.summary["parameter"], self.summary["ess_bulk"], strict=True))

    @property
    def rows(self) -> list[dict[str, object]]:
        """Rows of the summary; empty texts, which CSV files turn into NaN, are empty again."""
        texts = ("parameter", "label", "unit", "derived")
        return [
            {name: "" if name in texts and pd.isna(v) else v for name, v in row.items()}
            for row in self.summary.to_dict("records")
        ]


@dataclass(frozen=True)
class Observation:
    """One observation and its posteriors.

    Attributes:
        name: As in the configuration.
        source: Where it came from, in words.
        posteriors: By estimator, in the order of the configuration.
        comparisons: Tables of ``compare_marginals`` by pair, such as "npe and nle".
        accuracies: Accuracy of `c2st` and the draws it was given, by pair; may be empty.
    """

    name: str
    source: str
    posteriors: Mapping[str, Posterior]
    comparisons: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    accuracies: Mapping[str, tuple[float, int]] = field(default_factory=dict)

    @property
    def trees(self) -> dict[str, xr.DataTree]:
        """Posterior trees by estimator."""
        return {name: each.tree for name, each in self.posteriors.items()}

    @property
    def truth(self) -> dict[str, float]:
        """Known true values by parameter."""
        known: dict[str, float] = {}
        for each in self.posteriors.values():
            rows = each.summary.dropna(subset=["truth"])
            known |= dict(zip(rows["parameter"], rows["truth"].astype(float), strict=True))
        return known


@dataclass(frozen=True)
class Report:
    """All a page needs.

    Attributes:
        campaign: Its name.
        title: Of the page.
        question: What is asked of the data, in words; may be empty.
        simulator: Its name.
        parameters: In the order of the configuration, derived ones last.
        rows: Simulations asked for.
        failures: Failed simulations by reason.
        checks: What the verdict is made of.
        estimators: In the order of the configuration.
        observations: In the order of the configuration.
        config_yaml: The configuration of the campaign and its estimators.
        versions: Of software, by name.
        keys: Of artefacts, by stage.
        timings: Seconds of work by stage.
        failed_theta: Parameters of all rows, each ``(n,)``, and the reason each row failed, empty
            where it did not, ``(n,)``; nothing is mapped without it.
        errors: One failed row of each kind of error: ``status``, ``text``, ``row``, ``parameters``.
        epilogue: How to make this page again, in words.
    """

    campaign: str
    title: str
    question: str
    simulator: str
    parameters: Sequence[Parameter]
    rows: int
    failures: Mapping[str, int]
    checks: Sequence[Check]
    estimators: Sequence[Estimator]
    observations: Sequence[Observation]
    config_yaml: str
    versions: Mapping[str, str]
    keys: Mapping[str, str]
    timings: Mapping[str, float]
    failed_theta: tuple[Mapping[str, Array], Array] | None = None
    errors: Sequence[Mapping[str, Any]] = ()
    epilogue: str = ""

    @property
    def shown(self) -> Sequence[Observation]:
        """Observations with figures; a page of hundreds would not open."""
        return self.observations[:MAX_SHOWN]

    @property
    def labels(self) -> dict[str, str]:
        """Labels by parameter."""
        return {each.name: each.label or each.name for each in self.parameters}

    @property
    def informations(self) -> dict[str, Information]:
        """Information gained by estimator, where it was calibrated."""
        return {name: information(data) for name, data in self.calibrations.items()}

    @property
    def uniformities(self) -> dict[str, pd.DataFrame]:
        """Tests of the ranks by estimator, where it was calibrated."""
        return {name: uniformity(data) for name, data in self.calibrations.items()}

    @property
    def calibrations(self) -> dict[str, xr.Dataset]:
        """Calibration datasets by estimator."""
        return {
            each.name: each.calibration for each in self.estimators if each.calibration is not None
        }

    @property
    def sorted_checks(self) -> list[Check]:
        """Checks, the worst first."""
        return sorted(self.checks, key=lambda check: -STATUSES.index(check.status))
