"""The page is whole, self-contained, safe, and the same for the same content."""

import dataclasses
import json
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import synthetic
from markupsafe import escape

from sbi_pipeline.plots import style, typeset
from sbi_pipeline.reports import assessment, contents, overview, report
from sbi_pipeline.reports.verdict import to_json
from sbi_pipeline.sampled_posteriors import ObservedData
from sbi_pipeline.subjects import SimulatedRows

TRUTH = {"mass": 1.1, "spin": 0.3}


def make_report(*, width=1.0, title="Two black holes", nuisance=True):
    """A report on two observations by two estimators; ``width`` mutates the posterior of nle."""
    estimators = [
        synthetic.estimator(synthetic.calibration(seed=1)),
        dataclasses.replace(
            synthetic.estimator(synthetic.calibration(seed=2, n=200, width=width, density=False)),
            name="nle",
            history=synthetic.history(60, 50),
        ),
    ]
    observations = [
        _observation(name, truth, seed=10 * which, width=width)
        for which, (name, truth) in enumerate({"mock": TRUTH, "event": {}}.items())
    ]
    rng = np.random.default_rng(0)
    theta = {"mass": 2 * rng.normal(size=5000), "spin": rng.normal(size=5000)}
    reasons = np.where(rng.random(5000) < 0.0074, "timeout", "")
    simulations = SimulatedRows(5000, {"timeout": 37}, (theta, reasons))
    groups = [[simulations], *([each] for each in estimators)]
    for each in observations:
        groups += [[one] for one in each.posteriors.values()] + [each.pairs, [each]]
    parameters = [
        contents.DescribedParameter(
            "mass", "inferred", "normal, mean 0, sd 2", "$M$", r"$M_\odot$"
        ),
        contents.DescribedParameter("spin", "inferred", "normal, mean 0, sd 1", r"$\chi$"),
        contents.DescribedParameter("total", "derived", "mass + spin", r"$M + \chi$"),
    ]
    if nuisance:
        parameters.insert(
            2, contents.DescribedParameter("phase", "nuisance", "uniform, 0 … 2π", r"$\phi_0$")
        )
    return contents.Report(
        campaign="holes",
        title=title,
        question="How heavy were they, and how fast did they spin?",
        simulator="my_module:Holes",
        parameters=parameters,
        simulations=simulations,
        errors=[
            {
                "status": "raised",
                "text": "ValueError: a < b",
                "row": 41,
                "parameters": {"beta": 0.12345},
            }
        ],
        findings=list(assessment.assess(groups, {})),
        estimators=estimators,
        observations=observations,
        config_yaml="campaigns:\n  holes:\n    simulator: my_module:Holes\n    simulations: 5000\n",
        versions={"sbi_pipeline": "0.1.0", "python": "3.11.7", "torch": "2.13.0"},
        keys={"simulations": "f00d" * 8, "npe": "beef" * 8},
        timings={"simulate": 512.3, "train npe": 81.0, "train nle": 62.7, "sample nle": 14.2},
        epilogue="Run snakemake in the folder of the configuration below.",
    )


def _observation(name, truth, seed, width):
    trees = {
        "npe": synthetic.posterior(seed + 1, method="npe"),
        "nle": synthetic.posterior(seed + 2, width=width),
    }
    data = synthetic.predictive(seed)
    posteriors = {
        who: synthetic.sampled(tree, who, name, truth, data) for who, tree in trees.items()
    }
    x = synthetic.calibration(seed=seed)["x"].to_numpy()
    return ObservedData(name, "simulated", posteriors, x, list(synthetic.NAMES))


@pytest.fixture(scope="module")
def content():
    return make_report()


@pytest.fixture(scope="module")
def images(content):
    return {stem: style.png(figure) for stem, figure in report.figures(content)}


@pytest.fixture(scope="module")
def page(content, images):
    return report.render(content, images)


class Page(HTMLParser):
    """Collects addresses, ids, text and the nesting of a page."""

    VOID = ("meta", "link", "img", "br", "hr")

    def __init__(self, text):
        super().__init__()
        self.addresses, self.ids, self.images, self.open, self.words = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.addresses += [
            (tag, value)
            for name, value in attrs
            if name in ("src", "href", "srcset", "action", "data", "poster")
        ]
        if "id" in known:
            self.ids.append(known["id"])
        if tag == "img":
            self.images.append(known)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)


def test_the_page_names_nothing_outside_itself(page):
    parsed = Page(page)
    outside = [address for _, address in parsed.addresses if not address.startswith(("data:", "#"))]
    assert outside == []
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page
    assert "url(" not in page


def test_the_page_is_well_formed(page):
    parsed = Page(page)
    assert parsed.open == []
    assert len(parsed.ids) == len(set(parsed.ids))
    anchors = {address[1:] for tag, address in parsed.addresses if tag == "a"}
    assert anchors <= set(parsed.ids)
    assert all(image["alt"] for image in parsed.images)


def test_every_figure_is_on_the_page(page, images):
    assert set(images) == {
        *(
            f"{kind}-{name}"
            for kind in ("corner", "prior", "predictive")
            for name in ("mock", "event")
        ),
        *("trace-mock-nle", "trace-event-nle", "loss"),
        *("sbc-ranks", "sbc-ecdf", "coverage", "pp", "failures"),
    }
    assert page.count('src="data:image/') == len(images)


def test_the_page_tells_what_matters(page, content):
    text = " ".join("".join(Page(page).words).split())
    row = content.observations[0].posteriors["npe"].summary.iloc[0]
    assert f"{row['mean']:.2f} ± {row['sd']:.2f}" in text
    assert "marginal over them" in text
    assert "37 of 5000 simulations failed" in text
    assert content.config_yaml.split()[0] in text
    assert "torch" in text
    for check in content.checks:
        assert typeset.tidy(check.advice) in page
    assert page.index('id="verdict"') < page.index('id="results"') < page.index('id="asked"')


def test_a_summary_read_from_a_file_makes_the_same_page(content, images, page, tmp_path):
    def reread(posterior):
        posterior.summary.to_csv(tmp_path / "diagnostics.csv", index=False)
        return dataclasses.replace(posterior, summary=pd.read_csv(tmp_path / "diagnostics.csv"))

    observations = [
        dataclasses.replace(
            each, posteriors={name: reread(one) for name, one in each.posteriors.items()}
        )
        for each in content.observations
    ]
    again = dataclasses.replace(content, observations=observations)
    assert report.render(again, images) == page


def test_a_posterior_that_is_one_number_is_told(images):
    told = make_report()
    summary = told.observations[0].posteriors["nle"].summary
    summary.loc[0, "ess_tail"], summary.loc[1, "ess_tail"] = np.inf, np.nan
    assert "∞" in report.render(told, images)


def test_nothing_is_said_of_nuisances_that_are_not_there(images):
    assert "marginal over them" not in report.render(make_report(nuisance=False), {})


def test_the_worst_check_comes_first():
    broken = make_report(width=0.5)
    assert broken.sorted_checks[0].status == "fail"
    page = report.render(broken, {})
    assert "8 of 44 checks failed: calibration (nle)" in page
    assert '<section class="verdict fail"' in page


def test_text_of_the_configuration_cannot_break_the_page():
    page = report.render(make_report(title="<script>alert(1)</script> & x"), {})
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert Page(page).open == []


def test_the_same_content_makes_the_same_page(page, content, images):
    assert report.render(content, images) == page


def test_a_report_may_have_one_estimator_and_no_calibration(content):
    first = content.observations[1]
    alone = dataclasses.replace(
        content,
        estimators=[dataclasses.replace(content.estimators[0], calibration=None)],
        observations=[
            dataclasses.replace(
                first,
                posteriors={"npe": dataclasses.replace(first.posteriors["npe"], predictive=None)},
            )
        ],
    )
    findings = assessment.assess([alone.estimators, [SimulatedRows(5000, {})]], {})
    alone = dataclasses.replace(alone, findings=list(findings))
    stems = [stem for stem, _ in report.figures(alone)]
    assert stems == ["corner-event", "prior-event", "loss"]
    parsed = Page(report.render(alone, {}))
    anchors = {address[1:] for tag, address in parsed.addresses if tag == "a"}
    assert anchors <= set(parsed.ids)


def test_of_many_observations_the_first_are_shown(content):
    one = content.observations[1]
    many = [
        dataclasses.replace(one, name=f"event_{i}", detailed=i < contents.MAX_SHOWN)
        for i in range(11)
    ]
    crowd = dataclasses.replace(content, observations=many)
    assert [each.name for each in crowd.shown] == [f"event_{i}" for i in range(8)]
    page = report.render(crowd, {})
    anchors = {address[1:] for tag, address in Page(page).addresses if tag == "a"}
    assert anchors <= set(Page(page).ids)
    assert page.count('<table class="results">') == 11
    assert "Figures are shown of the first 8" in page


def test_a_table_of_many_observations_begins_with_the_worst():
    content = make_report(width=0.3)  # a posterior that its own checks find too narrow
    one = content.observations[0]
    others = [dataclasses.replace(one, name=f"event_{i}") for i in range(30)]
    crowd = dataclasses.replace(content, observations=[*others, one])
    worst, *rest = crowd.judged_observations
    assert (worst.name, worst.status) != ("event_0", "pass")
    assert worst.name == one.name
    assert worst.failed or worst.warned
    assert {each.status for each in rest} == {"pass"}
    page = report.render(crowd, {})
    table = page[page.index('id="observations"') :]
    assert table.index(f"#results-{one.name}") < table.index("#results-event_0")
    assert "The 11 other observations" in table


def test_a_note_on_every_one_of_many_observations_is_said_once():
    content = make_report()
    one = content.observations[0]
    posterior = dataclasses.replace(one.posteriors["npe"], predictive=None)
    one = dataclasses.replace(one, posteriors={"npe": posterior})
    (note,) = posterior.notes
    many = [dataclasses.replace(one, name=f"event_{i}") for i in range(12)]
    crowd = dataclasses.replace(content, observations=many)
    assert crowd.common_notes["npe"] == [note]
    assert report.render(crowd, {}).count(str(escape(note))) == 1


def test_the_index_lists_campaigns_with_their_verdicts(content):
    found = json.loads(to_json(content.checks))
    entries = [
        overview.Entry("holes", "Two <black> holes", "holes/report.html", found),
        overview.Entry("moons", "Moons", "moons/report.html", {**found, "status": "fail"}),
    ]
    page = overview.render_index(entries, [], {"budget": "budget/comparison.html"})
    parsed = Page(page)
    assert parsed.open == []
    assert [each for tag, each in parsed.addresses if tag == "a"] == [
        "#content",
        "holes/report.html",
        "moons/report.html",
        "budget/comparison.html",
    ]
    text = " ".join("".join(parsed.words).split())
    assert found["sentence"] in text
    assert f"holes: {len(content.checks)} pass 0 warn 0 fail" in text
    assert "verdict fail entry" in page
    assert "no reports yet" in overview.render_index([], [], {})


def test_settings_that_were_tried_are_told_the_best_first(content):
    search = [
        {"network": {"hidden": hidden}, "training": {}, "validation_loss": loss, "epochs": 9}
        for hidden, loss in ((32, 1.5), (64, -1.23456))
    ]
    first = dataclasses.replace(content.estimators[0], search=search)
    text = report.render(dataclasses.replace(content, estimators=[first]), {})
    words = " ".join("".join(Page(text).words).split())
    assert words.index("hidden: 64−1.2359") < words.index("hidden: 321.5009")


def test_what_went_wrong_is_told_with_an_example(page):
    assert "<code>ValueError: a &lt; b</code>" in page
    assert "beta = 0.1235" in page
