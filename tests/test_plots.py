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

from sbi_pipeline import plots

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


def _calibrations():
    return {"npe": synthetic.calibration(), "nle": synthetic.calibration(n=100, density=False)}


FIGURES = {
    "corner": lambda: plots.corner_overlay(_posteriors(), TRUTH),
    "corner without truth": lambda: plots.corner_overlay({"npe": synthetic.posterior()}),
    "prior": lambda: plots.prior_to_posterior(_posteriors(), TRUTH),
    "trace": lambda: plots.trace(synthetic.posterior(), TRUTH),
    "loss": lambda: plots.loss_curves({"npe": synthetic.history()}),
    "ranks": lambda: plots.sbc_ranks(_calibrations()),
    "ecdf": lambda: plots.sbc_ecdf(_calibrations(), labels={"mass": "$M$"}),
    "coverage": lambda: plots.coverage(_calibrations()),
    "step sweep": lambda: plots.step_sweep({"cmpe": _swept()}),
    "series": lambda: plots.predictive_fit({"npe": _predictive((14,)), "nle": _predictive((14,))}),
    "pair": lambda: plots.predictive_fit({"npe": _predictive((2,))}),
    "image": lambda: plots.predictive_fit({"npe": _predictive((8, 8))}),
    "cube": lambda: plots.predictive_fit({"npe": _predictive((3, 4, 2))}),
    "failures": lambda: plots.failures(
        {"mass": np.arange(100.0)}, np.where(np.arange(100) > 80, "timeout", "")
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn(name, tmp_path):
    figure = FIGURES[name]()
    path = plots.save(figure, tmp_path / "figures", "one")
    image = np.asarray(Image.open(path).convert("L"), dtype=float)
    assert image.shape[1] > 300
    assert 0.005 < np.mean(image < 200) < 0.9  # neither blank nor black
    assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    assert not plt.get_fignums()


def test_settings_of_the_caller_are_neither_used_nor_changed():
    plain = plots.png(FIGURES["series"]())
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert plots.png(FIGURES["series"]()) == plain
        assert mpl.rcParams["font.size"] == 30


def test_a_corner_plot_is_as_high_as_its_narrowest_posterior():
    wide = synthetic.posterior()
    for name, values in wide["posterior"].data_vars.items():
        wide[f"posterior/{name}"] = values.mean() + 4 * (values - values.mean())
    figure = plots.corner_overlay({"nle": synthetic.posterior(), "npe": wide})
    count = round(len(figure.axes) ** 0.5)
    for axis in figure.axes[:: count + 1]:
        outlines = [each for each in axis.patches if isinstance(each, Polygon)]  # not the prior
        tops = [outline.get_xy()[:, 1].max() for outline in outlines]
        assert max(tops) > 2 * min(tops)
        assert axis.get_ylim()[1] > max(tops)


def test_the_corner_shows_the_draws_and_the_truth():
    figure = plots.corner_overlay(_posteriors(), {**TRUTH, "mass": 9.0})
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
    plots.png(plots.corner_overlay({"npe": tree}))


def test_posteriors_that_share_nothing_are_refused():
    other = xr.DataTree.from_dict({"posterior": xr.Dataset({"q": (("chain", "draw"), [[0.0]])})})
    with pytest.raises(ValueError, match="npe, nle share no parameter"):
        plots.corner_overlay({"npe": other, "nle": synthetic.posterior()})


def test_the_kept_epoch_is_marked():
    history = synthetic.history(best=30)
    (axis,) = plots.loss_curves({"npe": history}).axes
    best = history["epoch"][history["validation_loss"].idxmin()]
    assert f"kept: epoch {best}" in [text.get_text() for text in axis.get_legend().get_texts()]


def test_estimators_keep_their_colours():
    assert plots.palette(["nle", "npe"])["npe"] == plots.palette(["npe"])["npe"]
    colours = plots.palette(["wide", "npe", "deep", "nle"])
    assert len(set(colours.values())) == 4


def test_pdf_is_the_same_for_the_same_figure(tmp_path):
    files = []
    for stem in ("a", "b"):
        plots.save(FIGURES["pair"](), tmp_path, stem)
        files.append((tmp_path / f"{stem}.pdf").read_bytes())
    assert files[0] == files[1]


def test_png_has_at_least_150_dots_an_inch():
    figure = FIGURES["pair"]()
    image = Image.open(io.BytesIO(plots.png(figure)))
    assert image.width >= 150 * figure.get_figwidth()
