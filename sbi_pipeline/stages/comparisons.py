"""The page of a comparison of models: `compare_models` gathers, checks and tells."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from scipy import special

from .. import provenance
from ..comparison.asked import AskedClassifier, AskedObservation, by_evidence
from ..comparison.averaging import averaged_posterior
from ..comparison.classifier import (
    CalibratedClassifier,
    ModelOdds,
    held_out_rows,
    load_classifier,
)
from ..comparison.fractions import probabilities_among, sample_fractions
from ..comparison.likeness import Likeness
from ..comparison.probabilities import ComparedModels
from ..comparison.weighed import Evidence
from ..conditions import Conditions
from ..diagnostics.typicality import share_missing
from ..plots import style
from ..reports import citation, comparison_methods
from ..reports import comparison as page
from ..reports.assessment import REFERENCE_ROWS, assess
from ..reports.verdict import to_json
from ..sidecars import renamed_into, write_text
from ..storage import collected, reading
from ..types import Array
from .classification import joined_rows, labels_of
from .evidences import read_evidences
from .files import Keys, check_key, data_of, known_of, read_dataset, read_manifest, write_dataset

AT_ONCE = 5_000
"""Objects of a catalogue that are asked about at once."""


def compare_models(
    *,
    classifier: Path,
    calibration: Path,
    evidences: Path,
    simulations: Sequence[Path],
    observed: Sequence[Path],
    posteriors: Sequence[Path],
    tables: Sequence[Path],
    report: Path,
    verdict: Path,
    table: Path,
    figures: Path,
    averaged: Path,
    objects: Path,
    comparison: str,
    title: str,
    question: str,
    models: Sequence[Mapping[str, Any]],
    odds: Mapping[str, float],
    observations: Sequence[str],
    catalogues: Sequence[str],
    configuration: str,
    thresholds: Mapping[str, Mapping[str, Any]] | None = None,
    inputs: Keys | None = None,
    key: str = "",
    threads: int = 1,
) -> None:
    """Compare models of observations and of the objects of catalogues, and tell it on one page.

    Files of observations, their ``posteriors`` and ``tables`` of catalogues are in the order of
    models, and of observations or catalogues for each.

    Reads: ``classifier`` and ``calibration``, ``evidences``, and what is named above. Writes:
    ``report``, ``verdict``, ``table``, every figure in the folder ``figures``; in ``averaged``
    posteriors of shared parameters, one an observation, and in ``objects`` the probabilities of the
    objects and the fractions of models.
    """
    torch.set_num_threads(threads)
    made, header = load_classifier(classifier)
    check_key(header["key"], inputs, "classifier", classifier)
    judged = read_dataset(calibration)
    reader, conditions = joined_rows(simulations, models, 0, inputs)
    labels = labels_of(models)
    log_odds = np.log([float(odds[label]) for label in labels])
    x, _, held_out = held_out_rows(reader, conditions)
    classified = AskedClassifier(labels, judged["log_p"].to_numpy(), judged["made_by"].to_numpy())
    asker = Asker(
        classified=classified,
        made=made,
        conditions=conditions,
        log_odds=log_odds,
        evidences=read_evidences(evidences, inputs),
        simulated=[
            whole_rows(each).collect({"validation": REFERENCE_ROWS})["validation"]
            for each in reader.readers
        ],
        like=Likeness(made, x, held_out.theta[:, :-1]),
    )
    seen = [
        asker.observed(name, _the_same(observed[place :: len(observations)], labels, name, inputs))
        for place, name in enumerate(observations)
    ]
    surveyed = [
        asker.surveyed(name, tables[place], f"catalogue of {labels[0]}, {name}", inputs)
        for place, name in enumerate(catalogues)
    ]
    averages = {
        each.name: tree
        for place, each in enumerate(seen)
        if (tree := _average(comparison, each, posteriors[place :: len(seen)], key, inputs))
    }
    told = page.ComparisonPage(
        comparison=comparison,
        title=title,
        question=question,
        models=[
            _the_model(each, path, float(odds[each["model"]]))
            for each, path in zip(models, simulations, strict=True)
        ],
        classifier=classified,
        observations=seen,
        averaged=averages,
        catalogues=surveyed,
        findings=list(assess([[classified], seen], thresholds or {})),
        configuration=configuration,
        versions={**provenance.versions(), **provenance.commits()},
        keys=dict(inputs or {}),
        seconds=_seconds(calibration, evidences),
    )
    for folder in (figures, averaged, objects):
        folder.mkdir(parents=True, exist_ok=True)
    for stem, figure in page.comparison_figures(told):
        style.save_figure(figure, figures, stem)
        style.save_small_vector(figure, figures, stem)
    for name, tree in averages.items():
        write_dataset(averaged / f"{name}.nc", tree)
    for catalogue in surveyed:
        _write_objects(catalogue, labels, objects, key)
    with renamed_into(table) as partial:
        told.table().to_csv(partial, index=False)
    kinds = (".png", ".svg")  # an SVG is taken where there is one
    images = {p.stem: p.read_bytes() for kind in kinds for p in sorted(figures.glob(f"*{kind}"))}
    methods = {
        "paragraph": comparison_methods.paragraph_of_comparison(told),
        "version": citation.own_version(told.versions),
    }
    write_text(verdict, to_json(told.checks, methods=methods) + "\n")
    write_text(report, page.render_models(told, images, methods["paragraph"]))


@dataclass(frozen=True)
class Asker:
    """What is asked about observations and objects.

    Attributes:
        classified: The classifier with what it says of held-out rows.
        made: The classifier.
        conditions: Known conditions that data are shown with.
        log_odds: Prior log odds of the models, ``(models,)``.
        evidences: By observation, way and model.
        simulated: Rows of each model that it was not trained on.
        like: Finds held-out rows that are like an observation.
    """

    classified: AskedClassifier
    made: CalibratedClassifier
    conditions: Conditions
    log_odds: Array
    evidences: Mapping[str, Mapping[str, Mapping[str, Evidence]]]
    simulated: Sequence[reading.View]
    like: Likeness

    def observed(self, name: str, data: xr.Dataset) -> AskedObservation:
        """Return an observation under the models."""
        labels = self.classified.labels
        x, known = data_of(data), known_of(data)
        shown = self.conditions.beside(x, known)
        odds = self.made.odds(shown[None])
        weighed = self.evidences.get(name, {})
        by_weights, taken = by_evidence(labels, weighed, self.log_odds, odds.from_rows[0])
        near = self.like.nearest(shown)
        missing = [share_missing(np.concatenate([x[None], each.x])) for each in self.simulated]
        given = [np.vstack([known[None], each.known]) for each in self.simulated]
        return AskedObservation(
            name=name,
            labels=labels,
            x=x,
            evidences=weighed,
            by_evidence=by_weights,
            by_classifier=ComparedModels(
                labels, odds.log_evidence[0], odds.covariance[0], self.log_odds, self.made.most
            ),
            taken=taken,
            simulated=[each.x for each in self.simulated],
            simulated_known=given if known.size else None,
            missing=missing if any(each.any() for each in missing) else None,
            near=self.classified.log_p[near],
            near_model=self.classified.model[near],
        )

    def surveyed(
        self, name: str, path: Path, of: str, inputs: Keys | None
    ) -> page.ComparedCatalogue:
        """Return what the classifier says of the objects of a catalogue."""
        odds, names = self._of_objects(path, of, inputs)
        fractions = sample_fractions(odds.log_evidence, seed=1)
        alone = special.softmax(odds.log_evidence + self.log_odds, axis=1)
        among = probabilities_among(odds.log_evidence, fractions)
        columns = {}
        for place, label in enumerate(self.classified.labels):
            columns[f"p_{label}"] = alone[:, place]
            columns[f"p_{label}_in_population"] = among[:, place]
            factor, error = odds.log_bayes_factor(place, 0)
            columns[f"log_bayes_factor_{label}"] = factor
            columns[f"log_bayes_factor_{label}_error"] = error
        return page.ComparedCatalogue(name, pd.DataFrame({"object": names, **columns}), fractions)

    def _of_objects(self, path: Path, of: str, inputs: Keys | None) -> tuple[ModelOdds, list[str]]:
        """Return the odds of objects, and their names."""
        found = []
        with collected.opened(path) as known:
            check_key(known.key, inputs, of, path)
            for first in range(0, len(known.names), AT_ONCE):
                rows = slice(first, first + AT_ONCE)
                given = known.conditions(self.conditions.names, rows)
                x = self.conditions.beside(known.data(rows), given)
                found.append(self.made.odds(x))
            return ModelOdds.joined(found), list(known.names)


def _the_same(
    paths: Sequence[Path], labels: Sequence[str], name: str, inputs: Keys | None
) -> xr.Dataset:
    """Return an observation that is the same in every model.

    Raises:
        ValueError: It is not.
    """
    found = [
        read_dataset(path, inputs, f"observation of {label}, {name}")
        for path, label in zip(paths, labels, strict=True)
    ]
    for label, each in zip(labels, found, strict=True):
        same = [
            np.array_equal(of(each), of(found[0]), equal_nan=True) for of in (data_of, known_of)
        ]
        if not all(same):
            raise ValueError(
                f"{name} is not the same data to {labels[0]} and to {label}; models are compared "
                "by one and the same"
            )
    return found[0]


def whole_rows(reader: reading.Reader) -> reading.Reader:
    """Return rows without gaps that are drawn: an observation is compared in what it has."""
    if reader.missing is None or reader.missing.rows:
        return reader
    return dataclasses.replace(reader, missing=None)


def _the_model(told: Mapping[str, Any], manifest: Path, odds: float) -> page.TheModel:
    listed = read_manifest(manifest, None)
    return page.TheModel(
        label=told["model"],
        campaign=told["campaign"],
        title=told["title"],
        parameters=told["inferred_parameters"],
        rows=listed["rows"],
        failed=sum(listed["failures"].values()),
        odds=odds,
    )


def _seconds(calibration: Path, evidences: Path) -> dict[str, float]:
    """Return seconds of work by stage."""
    files = {"train the classifier": calibration, "evidences": evidences}
    return {name: float(read_dataset(path).attrs["seconds"]) for name, path in files.items()}


def _average(
    comparison: str,
    asked: AskedObservation,
    posteriors: Sequence[Path],
    key: str,
    inputs: Keys | None,
) -> xr.DataTree | None:
    """Return the averaged posterior of an observation; None where no parameter is shared."""
    trees = {}
    for label, path in zip(asked.labels, posteriors, strict=True):
        with xr.open_datatree(path, engine="h5netcdf") as tree:
            check_key(tree.attrs["key"], inputs, f"posterior of {label}, {asked.name}", path)
            trees[label] = tree.load()
    attrs = {"key": key, "comparison": comparison, "observation": asked.name}
    return averaged_posterior(trees, asked.compared.probability, attrs, seed=1)


def _write_objects(
    catalogue: page.ComparedCatalogue, labels: Sequence[str], folder: Path, key: str
) -> None:
    with renamed_into(folder / f"{catalogue.name}.csv") as partial:
        catalogue.table.to_csv(partial, index=False)
    draws = xr.Dataset(
        {"fraction": (("chain", "draw", "model"), catalogue.fractions[None])},
        {"model": list(labels)},
    )
    tree = xr.DataTree.from_dict({"/": xr.Dataset(attrs={"key": key}), "posterior": draws})
    write_dataset(folder / f"{catalogue.name}_fractions.nc", tree)
