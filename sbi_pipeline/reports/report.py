"""One self-contained HTML page a campaign: what was asked, the verdict, and what it rests on.

`figures` makes every figure, `render` the page around them. Both take loaded objects and know no
paths; the page names nothing outside itself, so it opens offline and can be mailed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from matplotlib.figure import Figure

from .. import plots
from .contents import Observation, Report
from .rendering import embedded, template
from .verdict import overall


def figures(report: Report) -> Iterator[tuple[str, Figure]]:
    """Yield every figure of the page with the stem of its files, one at a time."""
    colours = plots.palette(_names(report))
    for observation in report.shown:
        yield from _observation_figures(observation, colours)
    if calibrations := report.calibrations:
        yield "sbc-ranks", plots.sbc_ranks(calibrations, colours, report.labels)
        yield "sbc-ecdf", plots.sbc_ecdf(calibrations, colours, report.labels)
        yield "coverage", plots.coverage(calibrations, report.labels)
        yield "pp", plots.probability_plot(calibrations, report.labels)
    if swept := {k: data for k, data in calibrations.items() if "energy_score" in data}:
        yield "steps", plots.step_sweep(swept, colours)
    if report.estimators:
        histories = {each.name: each.history for each in report.estimators}
        yield "loss", plots.loss_curves(histories, colours)
    if report.failed_theta is not None and any(report.failures.values()):
        yield "failures", plots.failures(*report.failed_theta, report.labels)


def render(report: Report, images: Mapping[str, bytes]) -> str:
    """Return the page.

    Args:
        report: What to tell.
        images: PNG files by stem, of the figures of `figures`; those missing are left out.
    """
    return template("report.html").render(
        report=report,
        verdict=overall(report.checks),
        images={stem: embedded(png) for stem, png in images.items()},
        colours=plots.palette(_names(report)),
    )


def _names(report: Report) -> list[str]:
    """Return the names of estimators, then of posteriors refined from theirs."""
    estimators = [each.name for each in report.estimators]
    posteriors = (name for each in report.observations for name in each.posteriors)
    return list(dict.fromkeys([*estimators, *posteriors]))


def _observation_figures(
    observation: Observation, colours: Mapping[str, str]
) -> Iterator[tuple[str, Figure]]:
    name, trees, truth = observation.name, observation.trees, observation.truth
    if not trees:
        return
    yield f"corner-{name}", plots.corner_overlay(trees, truth, colours)
    yield f"prior-{name}", plots.prior_to_posterior(trees, truth, colours)
    predictives = {
        who: each.predictive
        for who, each in observation.posteriors.items()
        if each.predictive is not None
    }
    if predictives:
        yield f"predictive-{name}", plots.predictive_fit(predictives, colours)
    for who, tree in trees.items():
        if tree["sample_stats"].attrs.get("sampler") != "direct":
            yield f"trace-{name}-{who}", plots.trace(tree, truth)
