"""Figures show what they are given, leave no trace in pyplot, and come out as files."""

import io

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import synthetic
import xarray as xr
from matplotlib.patches import Polygon
from PIL import Image

from sbi_pipeline import diagnostics
from sbi_pipeline.plots import style
from sbi_pipeline.plots.posterior import corner_overlay, prior_to_posterior
from sbi_pipeline.plots.steps import step_sweep
from sbi_pipeline.plots.style import Look
from sbi_pipeline.sampled_posteriors import SampledPosterior
from sbi_pipeline.subjects import SimulatedRows

TRUTH = {"mass": 1.1, "spin": 0.3}


def _posteriors(**options):
    return {
        "npe": synthetic.posterior(1, method="npe", **options),
        "nle": synthetic.posterior(2),
    }


def _predictive(shape, seed=0):
    rng = np.random.default_rng(seed)
    dims = [f"x_dim_{axis}" for axis in range(len(shape))]
    return xr.Dataset(
        {
            "x": (("draw", *dims), rng.normal(size=(200, *shape))),
            "x_o": (dims, rng.normal(size=shape), {"label": "flux", "unit": "Jy"}),
        }
    )


def _swept():
    table = [[0.5, 0.02], [0.4, 0.01], [0.42, 0.01]]
    coords = {"steps": [1, 10, 50], "statistic": ["mean", "error"]}
    return xr.Dataset({"energy_score": (("steps", "statistic"), table)}, coords)


def _estimators():
    few = synthetic.calibration(n=100, density=False)
    return [synthetic.estimator(synthetic.calibration()), synthetic.estimator(few, "nle")]


LOOK = Look(style.palette(["npe", "nle", "cmpe"]), {"mass": "$M$"})


def _drawn(stem, subjects):
    """The figure of a diagnostic, found by the stem of its files."""
    every = (each for one in diagnostics.registered().values() for each in one.figures)
    (drawing,) = (each for each in every if each.stem == stem)
    return style.styled(drawing.draw)(subjects, LOOK)


def _predicted(*shapes):
    names = ("npe", "nle")[: len(shapes)]
    made = zip(names, map(_predictive, shapes), strict=True)
    posteriors = [SampledPosterior(who, "event", None, None, each) for who, each in made]
    return _drawn("predictive-{observation}", posteriors)


def _failed():
    reasons = np.where(np.arange(100) > 80, "timeout", "")
    rows = SimulatedRows(100, {"timeout": 19}, ({"mass": np.arange(100.0)}, reasons))
    return _drawn("failures", [rows])


FIGURES = {
    "corner": lambda: corner_overlay(_posteriors(), TRUTH),
    "corner without truth": lambda: corner_overlay({"npe": synthetic.posterior()}),
    "prior": lambda: prior_to_posterior(_posteriors(), TRUTH),
    "trace": lambda: _drawn(
        "trace-{observation}-{estimator}", [synthetic.sampled(synthetic.posterior(), truth=TRUTH)]
    ),
    "loss": lambda: _drawn("loss", [synthetic.estimator(None)]),
    "ranks": lambda: _drawn("sbc-ranks", _estimators()),
    "ecdf": lambda: _drawn("sbc-ecdf", _estimators()),
    "P-P": lambda: _drawn("pp", _estimators()),
    "coverage": lambda: _drawn("coverage", _estimators()),
    "step sweep": lambda: style.styled(step_sweep)([synthetic.estimator(_swept(), "cmpe")], LOOK),
    "series": lambda: _predicted((14,), (14,)),
    "pair": lambda: _predicted((2,)),
    "image": lambda: _predicted((8, 8)),
    "cube": lambda: _predicted((3, 4, 2)),
    "failures": _failed,
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn(name, tmp_path):
    before = plt.get_fignums()
    figure = FIGURES[name]()
    path = style.save_figure(figure, tmp_path / "figures", "one")
    image = np.asarray(Image.open(path).convert("L"), dtype=float)
    assert image.shape[1] > 300
    assert 0.005 < np.mean(image < 200) < 0.9  # neither blank nor black
    assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    assert plt.get_fignums() == before


@pytest.mark.parametrize("value", [0.0, -37.52, 1e15])
@pytest.mark.parametrize("width", [0.0, 2e-16])
def test_a_posterior_that_is_one_number_is_drawn(value, width, tmp_path):
    point = synthetic.posterior(2)
    for variable in [*point["posterior"].data_vars.values(), point["sample_stats/lp"]]:
        noise = np.random.default_rng(1).choice([-1.0, 1.0], variable.shape)
        variable.values = value * (1 + width * noise)
    subject = synthetic.sampled(point)
    figures = (
        _drawn("trace-{observation}-{estimator}", [subject]),
        prior_to_posterior({"npe": synthetic.posterior(1), "nle": point}),
        corner_overlay({"npe": synthetic.posterior(1), "nle": point}),
    )
    for number, figure in enumerate(figures):
        assert style.save_figure(figure, tmp_path, str(number)).stat().st_size > 1000


def test_settings_of_the_caller_are_neither_used_nor_changed():
    plain = style.png(FIGURES["series"]())
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert style.png(FIGURES["series"]()) == plain
        assert mpl.rcParams["font.size"] == 30


def test_ticks_of_a_corner_plot_are_texts_and_their_power_of_ten_a_formula():
    small = synthetic.posterior()
    small["posterior"] = small["posterior"].to_dataset() * 1e-7
    figure = corner_overlay({"npe": small})
    figure.draw_without_rendering()
    axis = figure.axes[-1].xaxis
    assert {"$"}.isdisjoint("".join(tick.get_text() for tick in axis.get_ticklabels()))
    assert axis.get_offset_text().get_text() == r"$\times\mathdefault{10^{−7}}\mathdefault{}$"


def test_panels_are_placed_once_for_all_files_of_a_figure(tmp_path, monkeypatch):
    placed = []
    figure = prior_to_posterior(_posteriors())
    engine = type(figure.get_layout_engine())
    monkeypatch.setattr(engine, "execute", lambda *given: placed.append(given))
    style.save_figure(figure, tmp_path, "prior")
    style.save_small_vector(figure, tmp_path, "prior")
    assert len(placed) == 1


def test_a_corner_plot_is_as_high_as_its_narrowest_posterior():
    wide = synthetic.posterior()
    for name, values in wide["posterior"].data_vars.items():
        wide[f"posterior/{name}"] = values.mean() + 4 * (values - values.mean())
    figure = corner_overlay({"nle": synthetic.posterior(), "npe": wide})
    count = round(len(figure.axes) ** 0.5)
    for axis in figure.axes[:: count + 1]:
        outlines = [each for each in axis.patches if isinstance(each, Polygon)]  # not the prior
        tops = [outline.get_xy()[:, 1].max() for outline in outlines]
        assert max(tops) > 2 * min(tops)
        assert axis.get_ylim()[1] > max(tops)


def test_the_corner_shows_the_draws_and_the_truth():
    figure = corner_overlay(_posteriors(), {**TRUTH, "mass": 9.0})
    corner_axis = figure.axes[0]
    assert corner_axis.get_xlim()[1] > 9.0  # a truth far away is not cut off
    assert figure.axes[6].get_xlabel() == r"$M$ [$M_\odot$]"
    texts = [text.get_text() for text in corner_axis.texts]
    assert len(texts) == 2
    assert all(text.startswith("$0.9") or text.startswith("$1.0") for text in texts)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["npe", "nle", "prior", "truth"]


def test_a_constant_parameter_does_not_break_the_corner():
    tree = synthetic.posterior()
    for group in ("posterior", "prior"):
        tree[f"{group}/spin"] = tree[f"{group}/spin"] * 0 + 2.0
    style.png(corner_overlay({"npe": tree}))


def test_posteriors_that_share_nothing_are_refused():
    other = xr.DataTree.from_dict({"posterior": xr.Dataset({"q": (("chain", "draw"), [[0.0]])})})
    with pytest.raises(ValueError, match="npe, nle share no parameter"):
        corner_overlay({"npe": other, "nle": synthetic.posterior()})


def test_the_kept_epoch_is_marked():
    estimator = synthetic.estimator(None)
    history = estimator.history
    (axis,) = _drawn("loss", [estimator]).axes
    best = history["epoch"][history["validation_loss"].idxmin()]
    assert f"kept: epoch {best}" in [text.get_text() for text in axis.get_legend().get_texts()]


def test_estimators_keep_their_colours():
    assert style.palette(["nle", "npe"])["npe"] == style.palette(["npe"])["npe"]
    colours = style.palette(["wide", "npe", "deep", "nle"])
    assert len(set(colours.values())) == 4


def test_pdf_is_the_same_for_the_same_figure(tmp_path):
    files = []
    for stem in ("a", "b"):
        style.save_figure(FIGURES["pair"](), tmp_path, stem)
        files.append((tmp_path / f"{stem}.pdf").read_bytes())
    assert files[0] == files[1]


def test_png_has_at_least_150_dots_an_inch():
    figure = FIGURES["pair"]()
    image = Image.open(io.BytesIO(style.png(figure)))
    assert image.width >= 150 * figure.get_figwidth()


def test_what_has_nothing_to_see_is_not_drawn():
    independent = synthetic.sampled(synthetic.posterior(method="npe"), "npe")
    assert _drawn("trace-{observation}-{estimator}", [independent]) is None
    assert step_sweep(_estimators(), LOOK) is None
