"""Which figures a page has, with their captions: those of results and of every diagnostic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import diagnostics
from ..diagnostics.diagnostic import Drawing, Section
from ..plots import catalogue
from ..plots.posterior import corner_overlay, prior_to_posterior
from ..plots.steps import step_sweep
from ..plots.style import Look, palette, styled
from ..populations import Population
from ..sampled_posteriors import SampledPosterior
from ..subjects import Subject
from .contents import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """One figure of one page, before it is drawn.

    Attributes:
        stem: Of its files.
        section: Of the page.
        names: Of what it shows, by kind: ``observation``, ``catalogue``, ``estimator``.
        alt: What it shows, for those who cannot see it.
        title: Of the caption.
        text: The caption; code stands in backticks.
        drawing: How it is drawn.
        subjects: Of what.
    """

    stem: str
    section: Section
    names: Mapping[str, str]
    alt: str
    title: str
    text: str
    drawing: Drawing
    subjects: Sequence[Subject]

    def draw(self, look: Look) -> Figure | None:
        """Return the figure; None where there is nothing to see."""
        return styled(self.drawing.draw)(self.subjects, look)


def pictures(report: Report) -> list[Picture]:
    """Return what may be drawn for a page, in its order."""
    shown = {each.name for each in report.shown}
    found = []
    for drawing, subjects in _drawings(report):
        told = [each for each in subjects if each.names.get("observation", None) in {None, *shown}]
        for stem, together in _by_stem(drawing, told).items():
            found.append(_picture(stem, drawing, together))
    return found


def look_of(report: Report) -> Look:
    """Return how the figures of a page name and colour things."""
    estimators = [each.name for each in report.estimators]
    posteriors = [name for each in report.observations for name in each.posteriors]
    populations = [name for each in report.catalogues for name in each.populations]
    names = dict.fromkeys([*estimators, *posteriors, *populations])
    return Look(palette(names), report.labels)


def _drawings(report: Report) -> Iterator[tuple[Drawing, Sequence[Subject]]]:
    """Yield every drawing with what it is drawn of: the answers first, then what they rest on."""
    posteriors = [each for one in report.observations for each in one.posteriors.values()]
    populations = [each for one in report.catalogues for each in one.populations.values()]
    yield CORNER, posteriors
    yield MARGINALS, posteriors
    yield WIDTHS, populations
    yield RECOVERED, populations
    yield OBJECT, [each for one in populations for each in one.shown]
    for name, diagnostic in diagnostics.registered().items():
        asked = [each.subject for each in report.findings if each.diagnostic == name]
        for drawing in diagnostic.figures:
            yield drawing, asked
    yield STEPS, report.estimators


def _by_stem(drawing: Drawing, subjects: Iterable[Subject]) -> dict[str, list[Subject]]:
    grouped: dict[str, list[Subject]] = {}
    for each in subjects:
        grouped.setdefault(drawing.stem.format(**each.names), []).append(each)
    return grouped


def _picture(stem: str, drawing: Drawing, subjects: Sequence[Subject]) -> Picture:
    names = subjects[0].names
    text = drawing.text if isinstance(drawing.text, str) else drawing.text(subjects)
    return Picture(
        stem=stem,
        section=drawing.section,
        names=names,
        alt=drawing.alt.format(**names),
        title=drawing.title.format(**names),
        text=text.format(**names),
        drawing=drawing,
        subjects=subjects,
    )


def _truth(posteriors: Iterable[SampledPosterior]) -> dict[str, float]:
    return {name: value for each in posteriors for name, value in each.truth.items()}


def _corner_text(posteriors: Sequence[SampledPosterior]) -> str:
    text = (
        "Contours hold 39.3 % and 86.5 % of the probability (1 and 2 σ of a normal); above the "
        "diagonal medians and central 68 %. Grey: prior."
    )
    return f"{text} Dashed: truth." if _truth(posteriors) else text


def _marked_text(populations: Sequence[Population]) -> str:
    """Say which objects are marked, where some are."""
    flagged = max(int(each.flagged.sum()) for each in populations)
    if not flagged:
        return ""
    if flagged <= catalogue.MARKED:
        return " Flagged objects are marked."
    return (
        f" Flagged objects are marked, at most {catalogue.MARKED} of a kind: those with the "
        "smallest p-values."
    )


def _widths_text(populations: Sequence[Population]) -> str:
    (population,) = populations
    size, marked = len(population.table), _marked_text(populations)
    if size <= catalogue.FEW:
        text = "Each object in the order of its first parameter, with central 68 % and 90 %."
        return f"{text} Grey: prior.{' Black: truth.' if population.known else ''}{marked}"
    what = "A point an object" if size <= catalogue.MANY else "Density of objects (logarithmic)"
    return f"{what}: where it lies and how well that is known. Dashed: prior.{marked}"


def _recovered_text(populations: Sequence[Population]) -> str:
    text = (
        "Posterior mean against the truth; a posterior that knows little stays near the mean of "
        "the prior."
    )
    return text + _marked_text(populations)


CORNER = Drawing(
    stem="corner-{observation}",
    draw=lambda asked, look: corner_overlay(
        {each.name: each.tree for each in asked}, _truth(asked), look.colours
    ),
    alt="Corner plot of the posteriors of {observation}",
    title="Posterior.",
    text=_corner_text,
    section="observation",
)
MARGINALS = Drawing(
    stem="prior-{observation}",
    draw=lambda asked, look: prior_to_posterior(
        {each.name: each.tree for each in asked}, _truth(asked), look.colours
    ),
    alt="Prior and posterior marginals of {observation}",
    title="What the data taught.",
    text="Marginals in the range of the prior.",
    section="observation",
)
STEPS = Drawing(
    stem="steps",
    draw=step_sweep,
    alt="Energy score against number of steps",
    title="Steps.",
    text="Energy score of draws of held-out simulations, with two standard errors, for numbers of "
    "network calls a draw. The lowest score is the best; more calls are not always better. The "
    "number used is `steps` in `network`.",
    section="calibration",
)
WIDTHS = Drawing(
    stem="widths-{catalogue}-{estimator}",
    draw=catalogue.widths,
    alt="Means and widths of the posteriors of {catalogue} by {estimator}",
    title="The population by {estimator}.",
    text=_widths_text,
    section="catalogue",
)
RECOVERED = Drawing(
    stem="recovered-{catalogue}-{estimator}",
    draw=catalogue.recovered,
    alt="Posterior means by {estimator} against the truths of {catalogue}",
    title="Truths recovered by {estimator}.",
    text=_recovered_text,
    section="catalogue",
)
OBJECT = Drawing(
    stem="{stem}",
    draw=catalogue.predicted_object,
    alt="Data of {object} and what {estimator} predicts",
    title="{object}, {estimator}.",
    text=lambda asked: asked[0].said,
    section="object",
)
