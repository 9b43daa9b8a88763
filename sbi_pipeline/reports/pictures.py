"""Which figures a page has, with their captions: those of results and of every diagnostic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import xarray as xr

from .. import diagnostics
from ..diagnostics.diagnostic import Drawing, Section
from ..plots import catalogue, foremost
from ..plots.foremost import Foremost
from ..plots.many import correlation_matrices, every_parameter
from ..plots.posterior import corner_overlay, prior_to_posterior, shared_parameters
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
    yield corner_of(report.corner), posteriors
    yield marginals_of(report.corner), posteriors
    yield EVERY, posteriors
    yield CORRELATIONS, posteriors
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


def foremost_of(posteriors: Sequence[SampledPosterior], given: Sequence[str]) -> Foremost:
    """Return the parameters that corner plot and marginals of an observation show.

    Args:
        posteriors: Of the observation.
        given: Parameters that are asked for; empty for those that matter most.
    """
    trees = {each.name: each.tree for each in posteriors}
    names = shared_parameters(trees)
    if given:
        return Foremost([name for name in names if name in given] or names, len(names))
    told = [each.summary.set_index("parameter")["kl_nats"] for each in posteriors]
    known = {name: max(float(each[name]) for each in told) for name in names}
    if len(names) <= foremost.MOST:
        return Foremost(names, len(names))
    correlations = [foremost.rank_correlations(tree, names) for tree in trees.values()]
    return foremost.that_matter(known, foremost.strongest(correlations))


def _which_text(chosen: Foremost) -> str:
    """Say which of many parameters are shown, and why these."""
    shown = len(chosen.names)
    if shown == chosen.of:
        return ""
    if not chosen.pairs:
        return f" Shown are the {shown} of {chosen.of} parameters that `corner` names."
    pairs = ", ".join(f"{one} and {other} {value:+.2f}" for one, other, value in chosen.pairs)
    return (
        f" Shown are the {shown} of {chosen.of} parameters that matter most: those that the data "
        f"tell most of, by the divergence from the prior ({', '.join(chosen.informed)}), and the "
        f"pairs with the strongest rank correlations ({pairs.replace('-', '−')}). Figures below "
        "show all; others come here where `corner` of the campaign names them."
    )


def corner_of(given: Sequence[str] = ()) -> Drawing:
    """Return the corner plot of given parameters, or of those that matter most."""
    return Drawing(
        stem="corner-{observation}",
        draw=lambda asked, look: corner_overlay(
            {each.name: each.tree for each in asked},
            _truth(asked),
            look.colours,
            foremost_of(asked, given).names,
        ),
        alt="Corner plot of the posteriors of {observation}: marginals of the parameters on the "
        "diagonal, contours of each pair below it; the numbers stand in the table of results",
        title="Posterior.",
        text=lambda asked: _corner_text(asked) + _which_text(foremost_of(asked, given)),
        section="observation",
    )


def marginals_of(given: Sequence[str] = ()) -> Drawing:
    """Return prior and posterior of given parameters, or of those that matter most."""
    return Drawing(
        stem="prior-{observation}",
        draw=lambda asked, look: prior_to_posterior(
            {each.name: each.tree for each in asked},
            _truth(asked),
            look.colours,
            foremost_of(asked, given).names,
        ),
        alt="Prior and posterior marginals of {observation}",
        title="What the data taught.",
        text=lambda asked: (
            "Marginals in the range of the prior."
            + (" Parameters are those of the corner plot." if _are_chosen(asked, given) else "")
        ),
        section="observation",
    )


def _are_chosen(posteriors: Sequence[SampledPosterior], given: Sequence[str]) -> bool:
    chosen = foremost_of(posteriors, given)
    return len(chosen.names) < chosen.of


def _of_many(posteriors: Sequence[SampledPosterior]) -> dict[str, xr.DataTree] | None:
    """Return the posteriors of an observation where a corner plot cannot show all of them."""
    trees = {each.name: each.tree for each in posteriors}
    return trees if len(shared_parameters(trees)) > foremost.MOST else None


def _draw_every(posteriors: Sequence[SampledPosterior], look: Look) -> Figure | None:
    trees = _of_many(posteriors)
    if trees is None:
        return None
    return every_parameter(trees, _truth(posteriors), look.colours)


def _draw_correlations(posteriors: Sequence[SampledPosterior], look: Look) -> Figure | None:
    trees = _of_many(posteriors)
    return None if trees is None else correlation_matrices(trees)


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


EVERY = Drawing(
    stem="parameters-{observation}",
    draw=_draw_every,
    alt="Median and intervals of every parameter of {observation}, in units of its prior",
    title="Every parameter.",
    text="Medians, central 68 % (thick) and 90 % (thin), in standard deviations of the prior from "
    "its mean.",
    section="observation",
)
CORRELATIONS = Drawing(
    stem="correlations-{observation}",
    draw=_draw_correlations,
    alt="Rank correlations of all pairs of parameters of {observation}",
    title="Every pair.",
    text="Rank correlations of the draws of each posterior: which parameters the data tell "
    "together only.",
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
