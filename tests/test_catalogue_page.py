"""Figures of a catalogue, its section of the page, and how a stage reads it."""

import dataclasses
import functools
import json
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import surveys
from PIL import Image
from shard_for_tests import manifest_of
from test_report import Page, make_report

from sbi_pipeline.diagnostics.object_p_values import draw_p_values
from sbi_pipeline.diagnostics.object_truths import draw_pulls, draw_ranks_of_truths
from sbi_pipeline.plots import catalogue as plots
from sbi_pipeline.plots import style
from sbi_pipeline.plots.style import Look, styled
from sbi_pipeline.populations import CatalogueParameter, Population
from sbi_pipeline.reports import assessment, report
from sbi_pipeline.stages import page as stage
from sbi_pipeline.stages import results
from sbi_pipeline.stages.files import write_dataset

LOOK = Look(style.palette(["npe", "nle"]))
OF_ONE = {"widths": plots.widths, "recovered": plots.recovered}
OF_TRUTHS = {"pulls": draw_pulls, "ranks": draw_ranks_of_truths}


def drawn(name, *populations):
    """A figure of a catalogue."""
    if name == "p-values":
        return styled(draw_p_values)([surveys.observed(*populations)], LOOK)
    if name in OF_ONE:
        return styled(OF_ONE[name])(populations[:1], LOOK)
    return styled(OF_TRUTHS[name])(populations, LOOK)


def saved(figure, folder):
    """Its PNG as an array, and the size of its PDF in bytes."""
    path = style.save_figure(figure, folder, "one")
    return np.asarray(Image.open(path).convert("L"), float), path.with_suffix(".pdf").stat().st_size


@pytest.mark.parametrize("name", [*OF_ONE, *OF_TRUTHS, "p-values"])
@pytest.mark.parametrize(("n", "parameters"), [(12, 1), (1000, 4), (20_000, 1)])
def test_every_figure_is_drawn(name, n, parameters, tmp_path):
    figure = drawn(name, surveys.population(n, parameters=parameters, outliers=0.02))
    image, size = saved(figure, tmp_path)
    assert 300 < image.shape[1] < 9.1 * style.DOTS_PER_INCH  # the page's width
    assert 0.005 < np.mean(image < 200) < 0.9
    assert size < 400_000
    # Nothing is cut off at the sides: a legend, a label.
    assert image[:, [0, -1]].min() > 250
    assert not plt.get_fignums()


def test_the_population_may_have_no_truths_and_widths_over_decades(tmp_path):
    survey = surveys.population(1000, truths=False, noise=0.02, parameters=1)
    table = survey.table.assign(theta_1_sd=np.geomspace(0.003, 0.9, 1000))
    figure = drawn("widths", dataclasses.replace(survey, table=table))
    assert figure.axes[0].get_yscale() == "log"
    assert saved(figure, tmp_path)[0].min() < 100
    assert drawn("recovered", survey) is None
    vague = {"theta_1": CatalogueParameter()}  # no prior is known
    assert drawn("widths", dataclasses.replace(survey, parameters=vague)).axes
    certain = survey.table.assign(theta_1_sd=0.0)  # as of a discrete parameter
    assert drawn("widths", dataclasses.replace(survey, table=certain)).axes


@pytest.mark.parametrize("n", [1, 2])
def test_a_catalogue_may_be_small(n):
    survey = surveys.observed(surveys.population(n), surveys.population(n, who="nle"))
    assert Page(rendered(survey, alone=True)[0]).open == []


def test_figures_of_100000_objects_are_drawn_in_a_second_each():
    survey = surveys.population(100_000, parameters=2)
    for name in ("widths", "recovered", "pulls", "p-values"):
        began = time.process_time()
        drawn(name, survey)
        assert time.process_time() - began < 1.0, name


@pytest.mark.parametrize("shape", [(3,), (30,), (12, 10), (4, 3, 2)])
def test_an_object_is_drawn_over_its_predictions(shape, tmp_path):
    survey = surveys.population(200, outliers=0.1)
    survey = dataclasses.replace(survey, worst=surveys.data_of(survey.table, 3, shape))
    figure = styled(plots.predicted_object)([survey.shown[0]], LOOK)
    assert 0.005 < np.mean(saved(figure, tmp_path)[0] < 200) < 0.9


def test_names_of_objects_are_safe_in_files_and_formulas(tmp_path):
    survey = surveys.population(30, outliers=0.3, shown=3)
    names = ["../$a_1{", "a/b", "a b"]
    table = survey.table.assign(object=[*names, *survey.table["object"][3:]])
    worst = survey.worst.assign_coords(object=names)
    named = dataclasses.replace(survey, table=table, worst=worst)
    assert list(named.figures.values()) == [
        "object-npe-survey-1-..-a_1-",
        "object-npe-survey-2-a-b",
        "object-npe-survey-3-a-b",
    ]
    saved(styled(plots.predicted_object)([named.shown[0]], LOOK), tmp_path)
    text = Page(rendered(surveys.observed(named), alone=True)[0])
    assert "../$a_1{, npe." in "".join(text.words)


@functools.cache
def beside():
    """A report on two observations."""
    return make_report()


def rendered(survey, *, alone=False):
    """The page of a report on a catalogue, alone or beside observations, and its report."""
    base = beside()
    groups = [[each] for each in survey.populations.values()] + [survey.pairs, [survey]]
    findings = list(assessment.assess(groups, {}))
    told = dataclasses.replace(
        base,
        catalogues=[survey],
        findings=findings if alone else [*base.findings, *findings],
        observations=[] if alone else base.observations,
    )
    pictures = report.figures(told) if alone else ()
    return report.render(told, {stem: style.png(figure) for stem, figure in pictures}), told


@pytest.fixture(scope="module")
def survey():
    npe = surveys.population(300, outliers=0.05, shown=3)
    nle = surveys.population(300, outliers=0.05, who="nle", mcmc=True, width=1.1)
    return surveys.observed(npe, nle)


@pytest.fixture(scope="module")
def alone(survey):
    return rendered(survey, alone=True)


def test_a_catalogue_may_stand_alone(alone, survey):
    text, told = alone
    page = Page(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    anchors = {address[1:] for tag, address in page.addresses if tag == "a"}
    assert anchors <= set(page.ids)
    assert all(address.startswith(("data:", "#")) for _, address in page.addresses)
    assert {"catalogue-survey", *survey.populations["npe"].figures.values()} <= set(page.ids)
    assert anchors >= set(survey.populations["npe"].figures.values())
    assert "sampling" not in page.ids
    assert text.count('src="data:image/png;base64,') == len(list(report.figures(told)))


def test_the_page_tells_of_the_population(alone, survey):
    words = " ".join("".join(Page(alone[0]).words).split())
    npe = survey.populations["npe"]
    assert "300 objects: table objects.csv" in words
    assert "npe/survey/objects.csv, objects.parquet, and draws.zarr with 200 draws" in words
    assert "Drawn in batches." in words
    assert "3 of 300 with p ≤ 0.01" in words
    assert f"{npe.flagged.sum()} flagged by npe" in words
    assert npe.listed[0]["object"] in words
    assert "Do npe and nle agree?" in words
    assert "objects in distribution" in words


def test_a_catalogue_stands_beside_observations(survey):
    text, _ = rendered(survey)
    page = Page(text)
    assert {"observation-mock", "observation-event", "catalogue-survey", "sampling"} <= set(
        page.ids
    )
    assert page.open == []


def test_a_report_without_either_is_made(survey):
    told = dataclasses.replace(rendered(survey, alone=True)[1], catalogues=[])
    page = Page(report.render(told, {}))
    assert page.open == []
    assert not [each for each in page.ids if each.startswith(("catalogue", "observation"))]


def test_a_perfect_catalogue_of_few_objects_has_nothing_to_list():
    survey = surveys.observed(surveys.population(12, 5))
    assert not survey.populations["npe"].flagged.any()
    text, _ = rendered(survey, alone=True)
    assert "0 flagged by" in " ".join("".join(Page(text).words).split())
    assert "All flagged" not in text


def write(folder, population, *, key="k", worst=True):
    """Write what the stages before leave of a catalogue."""
    folder.mkdir(parents=True)
    population.table.to_csv(folder / "objects.csv", index=False)
    if worst:
        write_dataset(folder / "worst.nc", population.worst)
    facts = {
        "key": key,
        "source": "table stars.csv",
        "objects": len(population.table),
        "draws": population.draws,
        "parameters": {
            name: dataclasses.asdict(each) for name, each in population.parameters.items()
        },
        "seconds": 12.5,
        "notes": [],
    }
    (folder / "objects.json").write_text(json.dumps(facts))


def report_on(manifest, folders, inputs, out):
    """Run the stage on simulations and catalogues alone."""
    return stage.report(
        simulations=manifest,
        observations=[],
        headers=[],
        histories=[],
        calibrations=[],
        posteriors=[],
        catalogues=folders,
        report=out / "report.html",
        verdict=out / "verdict.json",
        figures=out / "figures",
        recommended=out / "recommended",
        campaign="stars",
        title="Stars",
        question="",
        simulator="my_module:Stars",
        parameters=[{"name": "b", "role": "inferred", "prior": ""}],
        configuration="",
        inputs=inputs,
    )


def test_the_stage_reads_catalogues(run, tmp_path):
    shard, _ = run("a", 200)
    survey = surveys.population(100, outliers=0.1, shown=2)
    folders = [tmp_path / "results" / who / "survey" for who in ("npe", "nle")]
    write(folders[0], survey)
    write(folders[1], survey, worst=False)
    manifest = manifest_of(shard, 200)
    inputs = {"manifest": json.loads(manifest.read_text())["key"]}
    inputs |= {"catalogue npe, survey": "k", "catalogue nle, survey": "k"}
    report_on(manifest, folders, inputs, tmp_path)
    words = " ".join("".join(Page((tmp_path / "report.html").read_text()).words).split())
    assert "Catalogue survey 100 objects: table stars.csv" in words
    assert "catalogue nle, survey12.5 s" in words
    checks = json.loads((tmp_path / "verdict.json").read_text())["checks"]
    assert {"objects in distribution", "ranks of truths", "shifts of objects"} <= {
        each["name"] for each in checks
    }
    assert (tmp_path / "figures" / "widths-survey-nle.png").exists()
    assert len(list((tmp_path / "figures").glob("object-npe-survey-*.png"))) == 2
    with pytest.raises(ValueError, match=r"objects.json has key k; the configuration wants other"):
        report_on(manifest, folders, {**inputs, "catalogue nle, survey": "other"}, tmp_path)
    table = folders[1] / "objects.csv"
    for kept in (5, 0):
        table.write_text("".join(table.read_text().splitlines(keepends=True)[:kept]))
        with pytest.raises(ValueError, match=rf"lists {max(0, kept - 1)} objects of 100; delete"):
            report_on(manifest, folders, inputs, tmp_path)


def test_a_table_is_read_as_it_was_written(tmp_path):
    survey = surveys.population(20, shown=2)
    names = ["007", "NA", "1e5", *survey.table["object"][3:]]
    written = dataclasses.replace(survey, table=survey.table.assign(object=names))
    write(tmp_path / "npe" / "survey", written, worst=False)
    source, found = results.read_population(
        Path(tmp_path / "npe" / "survey"), {"catalogue npe, survey": "k"}
    )
    assert isinstance(found, Population)
    assert (source, found.worst, found.level) == ("table stars.csv", None, 0.01)
    assert list(found.table["object"]) == names
    assert list(found.table["flags"]) == list(survey.table["flags"])
    np.testing.assert_array_equal(found.ranks("theta_1"), survey.ranks("theta_1"))
