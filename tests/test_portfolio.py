"""Several methods mixed into one posterior, and how it is chosen which."""

from functools import cache

import numpy as np
import pytest
import torch
from estimators_for_tests import gaussian, small, train
from test_failures import simulate, trained

from sbi_pipeline import choosing, estimators
from sbi_pipeline.estimators import Estimator
from sbi_pipeline.portfolio import Portfolio

X_O = torch.tensor([0.5])  # whose posterior is N(0.4, 0.2)
GRID = torch.linspace(-4, 4, 801)[:, None]


@cache
def part(method: str) -> Estimator:
    z, x = gaussian(2000, dim=1)
    made = estimators.build(method, z, x, seed=1, **small(method))
    train(made, z, x, max_epochs=5)
    return made.eval()


@pytest.fixture(params=["nle", "nre"])
def portfolio(request: pytest.FixtureRequest) -> Portfolio:
    return Portfolio.of([part("npe"), part(request.param)], [0.25, 0.75])


def test_its_density_is_that_of_the_mixture(portfolio: Portfolio) -> None:
    log_prob = portfolio.log_prob(GRID, X_O)
    assert float(log_prob.exp().sum() * 0.01) == pytest.approx(1, abs=0.05)
    torch.testing.assert_close(
        log_prob, (0.25 * of(portfolio, 0) + 0.75 * of(portfolio, 1)).log(), atol=1e-4, rtol=0
    )
    # Of pairs it is what it is of each alone.
    x = torch.tensor([[0.5], [-1.0], [0.5]])
    pairs = portfolio.log_prob(GRID[[400, 300, 420]], x)
    torch.testing.assert_close(pairs[[0, 2]], log_prob[[400, 420]], atol=1e-4, rtol=0)


def of(portfolio: Portfolio, place: int) -> torch.Tensor:
    return portfolio.log_prob_of(place, GRID, X_O.expand(len(GRID), 1)).exp()


def test_its_evidence_may_be_rougher(portfolio: Portfolio) -> None:
    x = torch.linspace(-1, 1, 10)[:, None]
    exact, rough = (portfolio.log_prob_of(1, 0.8 * x, x, each) for each in (1000, 30))
    assert 0 < float((rough - exact).abs().mean()) < 0.15  # 30 draws: 1 / sqrt(30) at most
    assert float((rough - exact).mean()) == pytest.approx(0, abs=0.1)


def test_its_draws_are_those_of_the_mixture(portfolio: Portfolio) -> None:
    torch.manual_seed(1)
    z = portfolio.sample_many(4000, torch.stack([X_O, -X_O]))
    assert z.shape == (2, 4000, 1)
    expected = GRID[:, 0] @ portfolio.log_prob(GRID, X_O).exp() * 0.01
    assert float(z[0].mean()) == pytest.approx(float(expected), abs=0.03)
    assert float(z[0].std()) == pytest.approx(0.2**0.5, rel=0.15)
    assert float(z[1].mean()) == pytest.approx(-0.4, abs=0.1)
    assert len(z[0].unique()) > 1000
    # Draws of both parts are everywhere among them.
    assert float(z[0, :2000].mean()) == pytest.approx(float(z[0, 2000:].mean()), abs=0.05)


def test_it_is_saved_as_a_whole(portfolio, tmp_path):
    estimators.save_estimator(tmp_path / "estimator.pt", portfolio, {})
    again, header = estimators.load_estimator(tmp_path / "estimator.pt")
    assert header["method"] == "auto"
    torch.testing.assert_close(again.log_prob(GRID, X_O), portfolio.log_prob(GRID, X_O))


def test_what_has_no_weight_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Portfolio.of([part("npe"), part("nle")], [1.0, 0.0])
    monkeypatch.setattr(Portfolio, "_log_evidence", lambda *given: pytest.fail("it was"))
    torch.manual_seed(1)
    alone.sample_many(10, X_O[None])
    torch.testing.assert_close(alone.log_prob(GRID, X_O), part("npe").log_prob(GRID, X_O))


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (["nle", "nre"], "methods is nle, nre: none of them has draws .* add npe"),
        (["npe", "cmpe"], "methods has cmpe; wanted methods with a density of all parameters"),
        (["npe", "mnre"], "methods has mnre"),
        (["npe", "auto"], "methods has auto"),
    ],
)
def test_methods_that_cannot_be_mixed_are_refused(methods: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Portfolio.check(None, methods=methods)
    Portfolio.check(None, methods="auto")


def test_weights_follow_held_out_truths():
    good = torch.randn(400, generator=torch.Generator().manual_seed(1))
    found = choosing.weights_of(torch.stack([good - 1, good, good - 5], 1), None)
    assert found.sum() == pytest.approx(1)
    assert found[1] > 0.9
    assert found[2] == 0


def test_who_is_far_behind_is_stopped():
    best, near, far = (choosing.Candidate(name, None) for name in ("npe", "nle", "nre"))
    noise = torch.randn(500, generator=torch.Generator().manual_seed(1))
    best.log_prob, near.log_prob, far.log_prob = noise, noise - 0.25, noise.flip(0) - 1
    racing = [best, near, far]
    assert not choosing.lost(near, racing)
    assert "nats behind npe" in choosing.lost(far, racing)
    assert not choosing.lost(far, [far, best, near])  # others are reweighted from the first


@pytest.fixture
def run(tmp_path):
    """Return a function that trains a portfolio on 1 000 simulations, and what it is told."""
    simulations = simulate(tmp_path, 1000)

    def train(methods=("npe", "nle"), network=None, **options):
        given = network or {"methods": list(methods)}
        return trained(simulations, "auto", network=given, **{"max_epochs": 3, **options})

    return train


def test_a_portfolio_in_a_study(run, tmp_path):
    posterior = run()
    assert all(part["members"] == choosing.MEMBERS for part in posterior.header["network"]["parts"])
    table = {each["method"]: each for each in posterior.header["search"]}
    assert list(table) == ["npe", "nle", "npe from nothing"]
    linear = [part["network"]["linear"] for part in posterior.header["network"]["parts"]]
    assert linear[0]  # the first stays, whatever it weighs
    if not table["npe from nothing"]["told"].startswith("beaten"):
        assert not linear[-1]
    failures = posterior.header["failures"]  # of which a likelihood has to know
    assert failures["target"] == "likelihood"
    assert failures["modelled"]
    assert posterior.header["usual_epochs"] > 3
    assert not list(tmp_path.glob("train-*"))
    theta = posterior.sample(400, x=np.zeros(posterior.estimator.shown_shape))
    assert theta.shape == (400, 1)
    assert np.isfinite(posterior.log_prob(theta, x=np.zeros(posterior.estimator.shown_shape))).all()


def test_a_killed_one_goes_on_as_if_it_had_not_been(run, tmp_path, monkeypatch):
    monkeypatch.setattr(choosing, "FEW", 0)
    whole = run().estimator.state_dict()
    (tmp_path / "estimator.pt").unlink()
    real, calls = choosing.scored, []

    def dying(*given):
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(choosing, "scored", dying)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert len(list(tmp_path.glob("train-*.pt"))) == 3  # both on their way, one at its end
    again = run().estimator.state_dict()
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_an_embedding_is_for_those_that_take_one(run):
    network = {"methods": ["npe", "nle", "nre"], "embedding": {"name": "mlp", "hidden": 7}}
    parts = run(network=network).header["network"]["parts"]
    taken = {part["method"]: part["network"].get("embedding") for part in parts}
    assert taken.pop("npe") == {"name": "mlp", "hidden": 7}
    assert taken.pop("nle", None) is None
    assert taken.pop("nre", {"name": "mlp", "hidden": 7}) == {"name": "mlp", "hidden": 7}


def test_what_there_is_no_time_for_is_said(run):
    posterior = run(("npe", "nle", "nre"), minutes=1e-6)
    told = {each["method"]: each["told"] for each in posterior.header["search"]}
    assert told.pop("npe") == "weight 1"
    assert told == dict.fromkeys(("nle", "nre", "npe from nothing"), "out of time")
    losses = [each["validation_loss"] for each in posterior.header["search"]]
    assert np.isfinite(losses[0])
    assert losses[1:] == [None] * 3
