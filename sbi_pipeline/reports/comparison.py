"""One page a comparison of models: which is favoured, by how much, and whether to believe it.

`comparison_figures` makes every figure, `render_models` the page around them. Both take loaded
objects and know no paths.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from ..comparison.asked import AskedClassifier, AskedObservation
from ..comparison.calibration import Scores, reliability, scores
from ..comparison.evidence import Evidence
from ..comparison.probabilities import ComparedModels
from ..diagnostics.check import Check
from ..diagnostics.diagnostic import Finding
from ..diagnostics.typicality import Typicality
from ..types import Array
from . import citation
from .rendering import embedded, template
from .verdict import overall

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDENED = math.log(10)
"""What the log evidence loses by a prior ten times as wide, of a parameter that data bound."""
BOUND = 0.3
"""Sd in the prior's normal space below which data bound a parameter, not its prior."""
NO_WAY = "the simulator has no log_likelihood, and no estimator learnt one (nle, auto)"
"""Where nothing has an evidence."""
LISTED = 20
"""Objects of a catalogue that stand on the page."""


@dataclass(frozen=True)
class TheModel:
    """A model as the page tells of it.

    Attributes:
        label: What the comparison calls it.
        campaign: Its campaign.
        title: Of the campaign.
        parameters: Its inferred parameters.
        rows: Simulations of its prior.
        failed: How many of them failed.
        odds: Prior odds.
    """

    label: str
    campaign: str
    title: str
    parameters: Sequence[str]
    rows: int
    failed: int
    odds: float


@dataclass(frozen=True)
class ComparedCatalogue:
    """The objects of a catalogue under several models.

    Attributes:
        name: Of the catalogue.
        table: A row an object: its name, then a probability by model as an object by itself, and
            as one of this population.
        fractions: Draws of the fractions of models, ``(draws, models)``.
    """

    name: str
    table: pd.DataFrame
    fractions: Array

    def summary(self) -> list[tuple[float, float, float, float]]:
        """Return mean, sd and both ends of the central 90 % of each fraction."""
        ends = np.quantile(self.fractions, (0.05, 0.95), axis=0)
        columns = self.fractions.mean(axis=0), self.fractions.std(axis=0), *ends
        return [tuple(map(float, each)) for each in zip(*columns, strict=True)]  # type: ignore[misc]


@dataclass(frozen=True)
class ComparisonPage:
    """All that the page tells.

    Attributes:
        comparison: Its name.
        title: Heading.
        question: What it asks.
        models: In the order of their labels.
        classifier: The classifier and what it says of held-out rows.
        observations: Observations under the models.
        averaged: Posteriors of shared parameters by observation, where some are shared.
        catalogues: Catalogues under them.
        findings: What diagnostics found.
        configuration: Excerpt of the configuration.
        versions: Of software.
        keys: Of what it is made of.
        seconds: Of work by stage.
    """

    comparison: str
    title: str
    question: str
    models: Sequence[TheModel]
    classifier: AskedClassifier
    observations: Sequence[AskedObservation]
    averaged: Mapping[str, xr.DataTree]
    catalogues: Sequence[ComparedCatalogue]
    findings: Sequence[Finding]
    configuration: str
    versions: Mapping[str, str]
    keys: Mapping[str, str]
    seconds: Mapping[str, float]

    @property
    def labels(self) -> list[str]:
        """Of the models."""
        return [each.label for each in self.models]

    @property
    def checks(self) -> list[Check]:
        """All checks, in the order of the page."""
        return [check for finding in self.findings for check in finding.checks]

    @cached_property
    def scores(self) -> Scores:
        """Of the classifier."""
        return scores(self.classifier.log_p, self.classifier.model)

    def likeness(self, asked: AskedObservation) -> Mapping[str, Typicality]:
        """Return how typical an observation is of each model."""
        of = {(each.diagnostic, each.subject.title): each.found for each in self.findings}
        found: Mapping[str, Typicality] = of["model_likeness", asked.title]
        return found

    def caveat(self, asked: AskedObservation) -> str:
        """Return a sentence that comes before what is said of an observation; mostly none."""
        failed = {(each.name, each.subject) for each in self.checks if each.status == "fail"}
        if ("any of the models", asked.title) not in failed:
            return ""
        return "None of the models makes data like these, so odds between them say nothing. "

    def rows(self, asked: AskedObservation) -> list[dict[str, Any]]:
        """Return what the table of an observation says, a row a model."""
        return [self._row(asked, place) for place in range(len(self.models))]

    def _row(self, asked: AskedObservation, place: int) -> dict[str, Any]:
        label, best = asked.labels[place], asked.compared.best
        way = asked.taken.get(label, "")
        evidence = asked.evidences[way][label] if way else None
        return {
            "label": label,
            "best": place == best,
            "odds": self.models[place].odds,
            "way": way,
            "evidence": evidence,
            "by_evidence": _told(asked.by_evidence, place, best),
            "by_classifier": _told(asked.by_classifier, place, best),
            "like": self.likeness(asked)[label].p_by_tail,
        }

    def problems(self, asked: AskedObservation) -> dict[str, list[str]]:
        """Return why models have no evidence that is believed, and which."""
        found: dict[str, list[str]] = {}
        for label in set(asked.labels) - set(asked.taken):
            of = {way: each[label] for way, each in asked.evidences.items() if label in each}
            told = [f"{way}, {why_not(each)}" for way, each in of.items()]
            found.setdefault("; ".join(told) or NO_WAY, []).append(label)
        return {problem: sorted(labels) for problem, labels in sorted(found.items())}

    def changed(self, asked: AskedObservation) -> list[dict[str, Any]]:
        """Return evidences under changed priors: a row for each model and change."""
        return [
            {"label": label, "prior": name, "value": value, "error": error,
             "gain": value - asked.evidences[way][label].log_evidence}
            for label, way in asked.taken.items()
            for name, (value, error) in asked.evidences[way][label].changed.items()
        ]  # fmt: skip

    def widened(self, asked: AskedObservation) -> list[dict[str, Any]]:
        """Return what the log evidence of each model loses by priors ten times as wide."""
        found = []
        for model in self.models:
            way = asked.taken.get(model.label)
            widths = asked.evidences[way][model.label].widths if way else np.empty(0)
            if len(widths) != len(model.parameters):
                continue
            bound = [n for n, w in zip(model.parameters, widths, strict=True) if w < BOUND]
            found.append(
                {
                    "label": model.label,
                    "bound": bound,
                    "free": [name for name in model.parameters if name not in bound],
                    "loss": WIDENED * len(bound),
                }
            )
        return found

    def table(self) -> pd.DataFrame:
        """Return the results as a table: a row for each observation and model."""
        rows = []
        for asked in self.observations:
            low, high = asked.compared.probability_ends()
            for place, row in enumerate(self.rows(asked)):
                each = row["evidence"]
                rows.append(
                    {
                        "observation": asked.name,
                        "model": row["label"],
                        "prior_odds": row["odds"],
                        "probability": asked.compared.probability[place],
                        "probability_low": low[place],
                        "probability_high": high[place],
                        "way": row["way"],
                        "log_evidence": each.log_evidence if each else math.nan,
                        "log_evidence_error": each.whole_error if each else math.nan,
                        "k_hat": each.k_hat if each else math.nan,
                        "log_bayes_factor_by_evidence": row["by_evidence"]["value"],
                        "log_bayes_factor_by_evidence_error": row["by_evidence"]["error"],
                        "log_bayes_factor_by_classifier": row["by_classifier"]["value"],
                        "log_bayes_factor_by_classifier_error": row["by_classifier"]["error"],
                        "p_value": row["like"],
                    }
                )
        return pd.DataFrame(rows)


def _told(compared: ComparedModels | None, place: int, best: int) -> dict[str, float]:
    """Return what one way says of a model: log Bayes factor over the best, probability."""
    if compared is None or not np.isfinite(compared.log_evidence[[place, best]]).all():
        return dict.fromkeys(("value", "error", "p", "low", "high"), math.nan)
    value, error = compared.log_bayes_factor(place, best)
    low, high = compared.probability_ends()
    p = float(compared.probability[place])
    return {"value": value, "error": error, "p": p, "low": low[place], "high": high[place]}


def why_not(evidence: Evidence) -> str:
    """Say why an evidence is not believed."""
    return evidence.problem or (
        f"the weights it is the mean of cannot be believed (k-hat {evidence.k_hat:.2f}, "
        f"{evidence.effective:.0f} effective draws)"
    )


def comparison_figures(page: ComparisonPage) -> Iterator[tuple[str, Figure]]:
    """Yield figures of the page with the stem of their files."""
    from ..plots import models as plots  # noqa: PLC0415 - matplotlib takes half a second

    for asked in page.observations:
        yield (
            f"odds-{asked.name}",
            plots.draw_odds(
                asked.labels,
                asked.labels[asked.compared.best],
                None if asked.by_evidence is None else _over_best(asked.by_evidence, asked),
                _over_best(asked.by_classifier, asked),
                asked.by_classifier.most,
            ),
        )
        if asked.name in page.averaged:
            yield (
                f"averaged-{asked.name}",
                plots.draw_averaged(page.averaged[asked.name], asked.labels),
            )
    curves = [
        reliability(np.exp(page.classifier.log_p[:, place]), page.classifier.model == place)
        for place in range(len(page.models))
    ]
    told = [(each.said, each.happened, each.low, each.high) for each in curves]
    yield "reliability", plots.draw_reliability(page.labels, told)
    for catalogue in page.catalogues:
        yield f"fractions-{catalogue.name}", plots.draw_fractions(page.labels, catalogue.fractions)


def _over_best(compared: ComparedModels, asked: AskedObservation) -> tuple[Array, Array]:
    best = asked.compared.best
    told = [_told(compared, place, best) for place in range(len(asked.labels))]
    return np.array([each["value"] for each in told]), np.array([each["error"] for each in told])


def render_models(page: ComparisonPage, images: Mapping[str, bytes], methods: str) -> str:
    """Return the page.

    Args:
        page: What to tell.
        images: PNG or SVG files by stem, of the figures of `comparison_figures`.
        methods: How it was done, as a paragraph that names works, see `citation`.
    """
    return template("models.html").render(
        page=page,
        verdict=overall(page.checks),
        images={stem: embedded(image) for stem, image in images.items()},
        listed=LISTED,
        methods=citation.in_plain_text(methods),
        bibtex=citation.bibtex(methods, citation.own_version(page.versions)),
    )
