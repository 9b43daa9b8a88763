from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from sbi_pipeline import priors, samplers, streams
from sbi_pipeline.estimators import Estimator
from sbi_pipeline.samplers import reweighting
from sbi_pipeline.types import Target, Traits


class Exact(Estimator):
    """Likelihood N(x; z, sd^2 I) or the posterior it gives under N(0, I), as an estimator."""

    def __init__(self, target: Target, dim: int = 2, sd: float = 0.5) -> None:
        super().__init__()
        self.traits = Traits(target=target)
        self.sd = sd
        self.spec = {"theta_dim": dim, "x_shape": [dim]}
        self.device = torch.nn.Parameter(torch.zeros(1))
        self.shrink = 1 / (1 + sd**2)

    def log_prob(self, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        posterior = torch.distributions.Normal(x * self.shrink, self.sd * self.shrink**0.5)
        likelihood = torch.distributions.Normal(z, self.sd)
        values = (
            posterior.log_prob(z) if self.traits.target == "posterior" else likelihood.log_prob(x)
        )
        return values.sum(-1)

    def sample_many(self, n: int, x: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(len(x), n, x.shape[1])
        return x[:, None] * self.shrink + self.sd * self.shrink**0.5 * noise


@pytest.mark.parametrize("target", ["posterior", "likelihood"])
def test_draws_of_many_posteriors_are_the_exact_ones(target: Target) -> None:
    estimator, x = Exact(target), np.array([[0.0, 1.0], [-2.0, 0.5], [3.0, 3.0]], dtype="f4")
    drawn = samplers.draw(estimator, x, 4000, seed=1)
    assert drawn.converged.all()
    z = drawn.flat(4000)
    sd = 0.5 * np.sqrt(0.8)
    np.testing.assert_allclose(z.mean(axis=1), 0.8 * x, atol=0.06)
    np.testing.assert_allclose(z.std(axis=1), sd, rtol=0.08)
    again = samplers.draw(estimator, x, 4000, seed=1)
    np.testing.assert_array_equal(z, again.flat(4000))


def test_direct_draws_of_a_likelihood_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"a likelihood has none; take emcee, or .*: npe, mnre, fmpe"
    ):
        samplers.draw(Exact("likelihood"), np.zeros((1, 2)), 100, seed=1, name="direct")


def test_draws_of_a_posterior_are_reweighted_to_a_likelihood() -> None:
    x = np.array([[0.0, 1.0], [-2.0, 0.5]], dtype="f4")
    for quick in (True, False):
        drawn = samplers.draw(
            Exact("likelihood"), x, 4000, seed=1, proposal=Exact("posterior"), quick=quick
        )
        assert drawn.converged.all()
        assert drawn.independent
        z = drawn.flat(4000)
        np.testing.assert_allclose(z.mean(axis=1), 0.8 * x, atol=0.04)
        np.testing.assert_allclose(z.std(axis=1), 0.5 * np.sqrt(0.8), rtol=0.05)
        told = drawn.told(1)
        assert told["sampler"] == "reweighted"
        assert told["k_hat"] < 0.5
        assert told["effective"] >= 4000


class Partly(Exact):
    """A posterior that is right for data below zero, and far off for others."""

    def log_prob(self, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return super().log_prob(z, torch.where(x > 0, x + 40, x))

    def sample_many(self, n: int, x: torch.Tensor) -> torch.Tensor:
        return super().sample_many(n, torch.where(x > 0, x + 40, x))


def test_mcmc_is_for_those_whose_weights_cannot_be_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reweighting, "ROUNDS", (1,))  # or it would be learned where the draws are
    x = np.array([[-1.0, -1.0], [3.0, 3.5], [-0.5, -2.0]], dtype="f4")
    likelihood, proposal = (
        kind(target, sd=0.1) for kind, target in ((Exact, "likelihood"), (Partly, "posterior"))
    )
    drawn = samplers.draw(likelihood, x, 400, seed=1, proposal=proposal, quick=True)
    by = [drawn.told(which).get("sampler", drawn.sampler) for which in range(3)]
    assert by == ["reweighted", "emcee", "reweighted"]
    assert drawn.converged.all()
    np.testing.assert_allclose(drawn.flat(400).mean(axis=1), x / 1.01, atol=0.02)


def test_mcmc_without_a_density_is_refused() -> None:
    drawing = Exact("posterior")
    drawing.traits = Traits(target="posterior", density=False)
    drawing.spec["method"] = "cmpe"
    with pytest.raises(
        ValueError, match=r"'emcee' needs a density, .* take direct, or .*: npe, nle"
    ):
        samplers.draw(drawing, np.zeros((1, 2)), 100, seed=1, name="emcee")
    with pytest.raises(ValueError, match=r"the proposal .cmpe. must have draws .* npe or fmpe"):
        samplers.draw(Exact("likelihood"), np.zeros((1, 2)), 100, seed=1, proposal=drawing)
    likelihood = Exact("likelihood")
    likelihood.spec["method"] = "nle"
    with pytest.raises(ValueError, match=r"the proposal .nle. must have draws"):
        samplers.draw(likelihood, np.zeros((1, 2)), 100, seed=1, proposal=likelihood)


@pytest.mark.parametrize("name", ["direct", "emcee"])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((1, 3)), r"x has shape \(3,\) a data set; the estimator learnt \(2,\)"),
        (np.array([[0, np.nan]]), "x has 1 values that are NaN or infinite"),
        (np.zeros((1, 0)), r"x has shape \(0,\) a data set; the estimator learnt \(2,\)"),
    ],
)
def test_bad_data_are_refused(name: str, x: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        samplers.draw(Exact("posterior"), x, 100, seed=1, name=name)


class Broken(Exact):
    """Draws NaN for data that are beyond its reach."""

    def sample_many(self, n: int, x: torch.Tensor) -> torch.Tensor:
        z = super().sample_many(n, x)
        return torch.where(z > 10, torch.nan, z)


FAR = np.array([[0, 1], [1e30, 0], [2, 1], [0, 1e30]], dtype="f4")
FEW: dict[str, Any] = {"ensembles": 2, "walkers": 8, "min_steps": 20, "max_steps": 20}


def test_posteriors_that_cannot_be_drawn_from_are_named_by_their_places() -> None:
    likelihood = Exact("likelihood")
    tried: list[tuple[Estimator, dict[str, Any]]] = [
        (Broken("posterior"), {}),
        (likelihood, FEW),
        (likelihood, {"proposal": Exact("posterior"), **FEW}),
    ]
    for estimator, options in tried:
        with pytest.raises(samplers.NotDrawn, match="within the reach of the simulator") as error:
            samplers.draw(estimator, FAR, 100, seed=1, **options)
        assert error.value.which == [1, 3]
        with pytest.raises(samplers.NotDrawn) as error:
            samplers.draw_many(estimator, FAR, 100, seed=1, **options)
        assert error.value.which[0] == 1


class TestLabelled:
    texts: ClassVar = {"mass": {"label": "$M$", "unit": "kg"}}

    def tree(self) -> Any:
        prior = priors.build(
            {
                "mass": {"type": "loguniform", "min": 1, "max": 10},
                "spin": {"type": "normal", "mean": 0, "sd": 1},
            },
            ("mass", "spin"),
        )
        drawn = samplers.draw(Exact("likelihood"), np.ones((1, 2)), 2000, seed=1)
        return samplers.labelled(
            drawn,
            0,
            prior,
            x_o=np.ones(2),
            prior_draws=np.ones((5, 2)),
            derived={"momentum": "mass * spin"},
            texts=self.texts,
            attrs={"key": "abc"},
        )

    def test_has_labels_units_and_derived_parameters(self) -> None:
        posterior = self.tree()["posterior"]
        assert posterior["mass"].attrs == {"label": "$M$", "unit": "kg"}
        assert posterior["momentum"].attrs["derived"] == "mass * spin"
        np.testing.assert_allclose(posterior["momentum"], posterior["mass"] * posterior["spin"])
        assert float(posterior["mass"].min()) >= 1
        assert len(np.unique(posterior["ensemble"])) == 4

    def test_opens_with_arviz(self, tmp_path: Any) -> None:
        import arviz as az

        path = tmp_path / "posterior.nc"
        self.tree().to_netcdf(path, engine="h5netcdf")
        data = az.from_netcdf(path)
        assert set(data.groups()) >= {"posterior", "sample_stats", "prior", "observed_data"}
        table = az.summary(data)
        assert (table["r_hat"] < 1.05).all()
        assert list(table.index) == ["mass", "spin", "momentum"]
        assert data.posterior["mass"].dims == ("chain", "draw")
        assert data.posterior["mass"].attrs["unit"] == "kg"
        assert data.prior["mass"].dims == ("chain", "draw")

    # ArviZ 0.23 with matplotlib 3.11.
    @pytest.mark.filterwarnings("ignore:Passing a dict or None as alias_mapping")
    def test_arviz_plots_it(self, tmp_path: Any) -> None:
        import arviz as az
        import matplotlib as mpl
        import matplotlib.pyplot as plt

        mpl.use("agg")
        path = tmp_path / "posterior.nc"
        self.tree().to_netcdf(path, engine="h5netcdf")
        data = az.from_netcdf(path)
        assert az.plot_trace(data).shape == (3, 2)
        assert az.plot_pair(data, var_names=["mass", "spin"]) is not None
        plt.close("all")


def test_draws_that_are_picked_are_of_all_chains() -> None:
    """Every sixth of 12 000 draws of 480 chains in turn would be of 80 chains."""
    picked = streams.some(12_000, 2000)
    assert len(np.unique(picked)) == 2000
    assert len(np.unique(picked % 480)) > 460
    np.testing.assert_array_equal(streams.some(10, 10), np.arange(10))
