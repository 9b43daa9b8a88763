"""The contract of diagnostics, and adding one: a file and a line, and it is everywhere."""

import importlib.util
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import surveys
import synthetic

from sbi_pipeline import (
    diagnostics,
    populations,
    registry,
    rounds,
    sampled_posteriors,
    subjects,
)
from sbi_pipeline.reports import assessment, contents, pictures, report
from sbi_pipeline.reports.verdict import to_json
from sbi_pipeline.sampled_posteriors import (
    ManyEvents,
    Neighbourhood,
    ObservedData,
    SampledPosterior,
)
from sbi_pipeline.subjects import SimulatedRows, TrainedEstimator

ROOT = Path(__file__).parents[1]
KINDS = [
    each
    for module in (subjects, sampled_posteriors, populations, rounds)
    for _, each in inspect.getmembers(module, inspect.isclass)
    if each.__module__ == module.__name__ and isinstance(getattr(each, "kind", None), str)
]
PNG = b"\x89PNG\r\n\x1a\n" + 8 * b"\0" + (680).to_bytes(4, "big") + (400).to_bytes(4, "big")


@pytest.fixture(scope="module")
def documented():
    """The module that makes the table of docs/checks.md."""
    spec = importlib.util.spec_from_file_location("docs_checks", ROOT / "docs" / "checks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FLAT = {"type": "uniform", "min": 0, "max": 9}


def everything():
    """Subjects of every kind, of which every diagnostic has something to say."""
    rng = np.random.default_rng(0)
    data = synthetic.calibration(n=200).assign_attrs(independent=0)
    data = data.assign(effective=("simulation", np.full(200, 100.0)))
    known = {"simulated": 1000, "failed": 30, "target": "likelihood", "modelled": True}
    theta = {name: rng.normal(size=1000) for name in synthetic.NAMES}
    simulations = SimulatedRows(
        1000,
        {"timeout": 30},
        (theta, np.where(np.arange(1000) < 30, "timeout", "")),
        {"outside": 3, "effective": 400.0, "drawn_from": {"mass": FLAT}},
    )
    departure = {"where": "mass", "measure": "correlation", "size": 0.3, "p": 1e-9, "rows": 1000}
    masks = {"share": 0.3, "correlation": 0.4, "by_chance": 0.05, "column": 2}
    told = {"departure": departure, "left_out": {"columns": 3, "of": 9}, "masks": masks}
    estimator = synthetic.estimator(data, "nle", failures=known, **told)
    there = data[["ranks", "joint_ranks"]].assign(converged=("simulation", np.ones(200)))
    there = there.assign_attrs(effective=60.0)
    refined = synthetic.posterior(2, method="npe")
    weights = {"k_hat": 0.1, "k_hat_jitter": 0.05, "top_weight": 0.001, "efficiency": 0.5}
    refined["sample_stats"].attrs |= weights
    predictive = synthetic.with_scores(synthetic.predictive())
    posteriors = {
        "nle": synthetic.sampled(synthetic.posterior(1), "nle", predictive=predictive, sbc=there),
        "better": synthetic.sampled(refined, "better"),
    }
    x = data["x"].to_numpy()
    observation = ObservedData("event", "simulated", posteriors, x, list(synthetic.NAMES))
    near = Neighbourhood(estimator, posteriors["nle"])
    many = ManyEvents(estimator, posteriors["nle"])
    first = [[simulations], [estimator], [synthetic.nuisances()], [near], [synthetic.rounds()]]
    groups = [*first, *([each] for each in posteriors.values())]
    groups += [observation.pairs, [observation], [many]]
    found = [surveys.population(mcmc=True, who=who) for who in ("nle", "better")]
    survey = surveys.observed(*found)
    return [*groups, *([each] for each in found), survey.pairs, [survey]]


def told(thresholds):
    """A report on `everything`."""
    groups = everything()
    return contents.Report(
        campaign="all",
        title="All",
        question="",
        simulator="my_module:All",
        parameters=[contents.DescribedParameter(name, "inferred", "") for name in synthetic.NAMES],
        simulations=groups[0][0],
        estimators=groups[1],
        observations=[each for group in groups for each in group if isinstance(each, ObservedData)],
        catalogues=groups[-1],
        rounds=groups[4][0],
        findings=list(assessment.assess(groups, thresholds)),
        config_yaml="",
        versions={},
        keys={},
        timings={},
    )


def page_of(content):
    """The page, with a stand-in for every image."""
    return report.render(content, {each.stem: PNG for each in pictures.pictures(content)})


@pytest.fixture(scope="module")
def content():
    return told({})


@pytest.fixture(scope="module")
def page(content):
    return page_of(content)


@pytest.mark.parametrize("name", registry.DIAGNOSTICS)
def test_a_diagnostic_is_whole(name):
    each = diagnostics.registered()[name]
    assert each.of in KINDS
    assert each.checks
    assert each.value
    assert each.chance
    documentation = inspect.getdoc(each.judge)
    for argument, default in each.thresholds.items():
        pair = default if isinstance(default, tuple) else (default, default)
        assert [type(limit) for limit in pair] == [float, float]
        assert re.search(rf"^    {argument}: \w", documentation, re.MULTILINE), argument
    for drawing in each.figures:
        assert drawing.stem
        assert drawing.alt
        assert drawing.title


@pytest.mark.parametrize("name", registry.DIAGNOSTICS)
def test_a_diagnostic_is_asked_and_told(name, content, page):
    each = diagnostics.registered()[name]
    found = [one for one in content.findings if one.diagnostic == name]
    made = {check.name for one in found for check in one.checks}
    assert made == set(each.checks)
    assert all(f'<th scope="row">{check}<small>' in page for check in made)
    assert {type(one.subject) for one in found} == {each.of}
    for drawing in each.figures:
        names = found[0].subject.names
        text = drawing.text
        said = text if isinstance(text, str) else text([one.subject for one in found])
        assert f"<b>{drawing.title.format(**names)}</b> {said.format(**names)}" in page
        assert f"figures/{drawing.stem.format(**names)}.pdf" in page


def test_figures_have_files_of_their_own():
    every = [each.stem for one in diagnostics.registered().values() for each in one.figures]
    every += [
        each.stem
        for each in vars(pictures).values()
        if isinstance(each, diagnostics.diagnostic.Drawing)
    ]
    every += [each().stem for each in (pictures.corner_of, pictures.marginals_of)]
    assert len(every) == len(set(every))


def test_checks_have_names_of_their_own():
    every = [check for one in diagnostics.registered().values() for check in one.checks]
    assert len(every) == len(set(every))


def test_the_table_of_checks_is_that_of_the_code(documented):
    text = documented.PAGE.read_text()
    assert documented.page(text) == text, "run make docs"


def test_thresholds_are_known_without_torch_arviz_or_matplotlib():
    code = (
        "import sys; from sbi_pipeline import diagnostics; diagnostics.thresholds();"
        "print([name for name in ('torch', 'arviz', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


TOY = '''
"""Are the draws where they were wanted?"""

from sbi_pipeline.diagnostics.check import Check, WarnFail, above
from sbi_pipeline.diagnostics.diagnostic import Diagnostic, Drawing
from sbi_pipeline.plots.style import panels
from sbi_pipeline.sampled_posteriors import SampledPosterior


def judge_distance(distance: float, subject: str, *, far: WarnFail = (100.0, 200.0)) -> Check:
    """Judge how far away the draws are.

    Args:
        distance: Of their mean from zero.
        subject: Estimator and observation.
        far: Warn above, fail above.
    """
    return above(distance, far, "toy").check(
        name="distance",
        subject=subject,
        quantity="mean of the first parameter",
        value=distance,
        chance="0",
        good="Near.",
        bad="Far; come nearer.",
    )


def draw_distances(asked, look):
    figure, (axis,) = panels(1, 1)
    axis.bar([each.name for each in asked], [each.summary["mean"][0] for each in asked])
    return figure


DISTANCE = Diagnostic(
    of=SampledPosterior,
    measure=lambda posterior: abs(float(posterior.summary["mean"][0])),
    judge=judge_distance,
    checks=("distance",),
    value="mean of the first parameter",
    chance="0",
    figures=(
        Drawing(
            stem="distances-{observation}",
            draw=draw_distances,
            alt="Distances",
            title="Distances of {observation}.",
            text="A bar each, as in `bar`.",
            section="sampling",
        ),
    ),
)
'''


@pytest.fixture
def _added(tmp_path, monkeypatch):
    """A diagnostic of one's own: its file, and one line in the table."""
    (tmp_path / "toy_diagnostic.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    line = {"toy": registry.Part("toy_diagnostic:DISTANCE")}
    monkeypatch.setattr(registry, "DIAGNOSTICS", {**registry.DIAGNOSTICS, **line})
    yield
    sys.modules.pop("toy_diagnostic", None)


@pytest.mark.usefixtures("_added")
def test_adding_a_diagnostic_takes_a_file_and_a_line(content, page, documented):
    assert "distance<small>" not in page
    synthetic.bind_thresholds({"toy": {"far": [0.1, 0.2]}})
    with pytest.raises(
        ValueError, match=r"thresholds.toy.near: unknown key; the diagnostic toy takes far"
    ):
        synthetic.bind_thresholds({"toy": {"near": [1, 2]}})
    with pytest.raises(ValueError, match="warn at 3 and fail at 2 contradict each other"):
        synthetic.bind_thresholds({"toy": {"far": [3, 2]}})
    row = "| distance | `toy` | posterior | mean of the first parameter | 0 | `far` 100, 200 |"
    assert row in documented.table()

    again = told({})
    verdict = json.loads(to_json(again.checks))
    asked = [check for check in verdict["checks"] if check["name"] == "distance"]
    assert [check["subject"] for check in asked] == ["nle, event", "better, event"]
    assert [check["status"] for check in asked] == ["pass", "pass"]
    others = [check for check in verdict["checks"] if check["name"] != "distance"]
    assert others == json.loads(to_json(content.checks))["checks"]

    text = page_of(again)
    assert '<th scope="row">distance<small>nle, event</small>' in text
    assert "<b>Distances of event.</b> A bar each, as in <code>bar</code>." in text
    assert text.index('id="sampling"') < text.index("figures/distances-event.pdf")
    drawn = {each.stem: each for each in pictures.pictures(again)}["distances-event"]
    assert [each.name for each in drawn.subjects] == ["nle", "better"]
    assert len(drawn.draw(pictures.look_of(again)).axes) == 1

    strict = told({"toy": {"far": (0.1, 0.2)}})
    assert {each.status for each in strict.checks if each.name == "distance"} == {"fail"}


def test_kinds_of_subjects_say_what_they_are():
    assert len({kind.kind for kind in KINDS}) == len(KINDS) == 13
    assert TrainedEstimator.kind == "estimator"
    assert SampledPosterior.kind == "posterior"
