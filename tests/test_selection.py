"""Events of which some fail: the posterior by how they were selected, against closed forms.

An event is x ~ N(theta, 1), and fails below 0, with theta ~ N(0, 2). Those that work are of a
truncated normal.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
import torch
import xarray as xr
import yaml
from scipy import stats
from torch.special import log_ndtr

from sbi_pipeline import diagnostics, estimators, event_predictions, priors, study
from sbi_pipeline.campaigns.given_rows import Engine
from sbi_pipeline.diagnostics.selection import SelectedEvents
from sbi_pipeline.estimators import Estimator
from sbi_pipeline.event_predictions import Selected, predicted_events, try_events
from sbi_pipeline.model import Model
from sbi_pipeline.networks.validity import Validity
from sbi_pipeline.posterior import log_posterior
from sbi_pipeline.predictions import Predictor
from sbi_pipeline.stages.files import read_dataset, tried_of
from sbi_pipeline.stages.observations import ToObserve, observe
from sbi_pipeline.subjects import SimulatedRows
from sbi_pipeline.trained import Posterior
from sbi_pipeline.training.fit import fit
from sbi_pipeline.types import Array, Traits

PRIOR_SD = 2.0
SPECS = {"theta": {"type": "normal", "mean": 0, "sd": PRIOR_SD}}
PRIOR = priors.build(SPECS, ("theta",))
GRID = np.linspace(-3, 3, 2001)


class Detector:
    """One event, which fails below 0."""

    parameters = ("theta",)

    def __call__(self, parameters: Array, rng: np.random.Generator) -> Array:
        x = parameters + rng.normal(size=parameters.shape)
        return np.where(x < 0, np.nan, x)


class Cut(Validity):
    """The exact p(valid | z)."""

    def __init__(self) -> None:
        super().__init__(1)

    def log_prob(self, z: Any) -> Any:
        return log_ndtr(PRIOR_SD * z[:, 0].double())

    def log_failed(self, z: Any) -> Any:
        return log_ndtr(-PRIOR_SD * z[:, 0].double())


def exact_estimator() -> Any:
    """An estimator that learnt the truncated normal exactly, and where events fail."""
    made: Any = Estimator()
    made.device = torch.nn.Parameter(torch.zeros(1))
    made.spec = {"theta_dim": 1, "x_shape": [1]}
    made.traits = Traits(target="likelihood")
    made.validity = Cut()

    def log_prob(z: Any, x: Any) -> Any:
        theta = PRIOR_SD * z[:, 0].double()
        normal = torch.distributions.Normal(theta, 1.0)
        return normal.log_prob(x[:, 0].double()) - log_ndtr(theta)

    made.log_prob = log_prob
    return made


def observed(seed: int = 1, theta: float = 0.0, tried: int = 200) -> Array:
    x = theta + np.random.default_rng(seed).normal(size=tried)
    return x[x >= 0, None]


def moments(log_density: Array, theta: Array = GRID) -> tuple[float, float]:
    weight = np.exp(log_density - log_density.max())
    mean = weight @ theta / weight.sum()
    return float(mean), float(np.sqrt(weight @ (theta - mean) ** 2 / weight.sum()))


def closed_form(x: Array, tried: int | None, theta: Array = GRID) -> Array:
    """Log posterior of theta: of a truncated normal, and where it is known how many were tried."""
    found = stats.norm.logpdf(theta, 0, PRIOR_SD) + stats.norm.logpdf(x, theta).sum(axis=0)
    if tried is None:
        return np.asarray(found - len(x) * stats.norm.logcdf(theta))
    return np.asarray(found + (tried - len(x)) * stats.norm.logsf(theta))


@pytest.mark.parametrize("tried", [None, 200])
def test_the_factor_of_the_numbers_is_exact(tried: int | None) -> None:
    x = observed()
    counts = None if tried is None else np.array([tried])
    density = log_posterior(exact_estimator(), x[None], events=True, tried=counts)
    found = density(GRID[None, :, None] / PRIOR_SD)[0]
    wanted = closed_form(x, tried)
    np.testing.assert_allclose(found - found.max(), wanted - wanted.max(), atol=1e-4)


def test_the_two_answers_are_those_of_the_truncated_and_the_censored_normal() -> None:
    """They are apart: the number tried tells, and detected events alone know less."""
    x = observed()
    detected, tried = (moments(closed_form(x, n)) for n in (None, 200))
    assert detected[1] > 1.8 * tried[1]
    wrong = moments(closed_form(x, None) + len(x) * stats.norm.logcdf(GRID))
    assert wrong[0] > tried[0] + 5 * tried[1]  # as if all that were tried had worked


def test_one_event_that_worked_counts_as_one_tried() -> None:
    """Held-out events have thetas of the prior given that they worked."""
    one = observed()[:1]
    z = GRID[None, :, None] / PRIOR_SD
    single = log_posterior(exact_estimator(), one)(z)[0]
    counted = log_posterior(exact_estimator(), one[None], events=True, tried=np.ones(1, int))(z)[0]
    wanted = closed_form(one, 1)
    for found in (single, counted):
        np.testing.assert_allclose(found - found.max(), wanted - wanted.max(), atol=1e-4)


def test_where_hardly_any_event_works_detected_ones_exclude_theta() -> None:
    """There a network has seen nothing, and what it says of the events means nothing."""
    made = exact_estimator()
    made.log_prob = lambda z, x: torch.zeros(len(z), dtype=torch.float64)
    at = np.array([0.0, -2.5, -4.0, -5.0])[None, :, None] / PRIOR_SD
    found = log_posterior(made, observed()[None], events=True)(at)[0] + 0.5 * at[0, :, 0] ** 2
    assert found[0] == pytest.approx(found[1])
    assert found[0] - 98 > found[2] > found[3]


@pytest.mark.parametrize(
    ("tried", "validity", "message"),
    [
        (90, True, "98 events worked of 90 tried; wanted the number of all"),
        (200, False, "102 events failed, and the estimator has not learnt where events fail"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(tried: int, validity: bool, message: str) -> None:
    made = exact_estimator()
    made.validity = Cut() if validity else None
    x = np.resize(observed(), (1, 98, 1))
    with pytest.raises(ValueError, match=message):
        log_posterior(made, x, events=True, tried=np.array([tried]))


def test_a_notebook_says_how_many_were_tried() -> None:
    posterior = Posterior(exact_estimator(), PRIOR, {"events": True})
    x, theta = observed(), np.array([[0.0], [0.2]])
    for tried in (None, 200):
        found = posterior.log_prob(theta, x, tried=tried)
        wanted = closed_form(x, tried, theta[:, 0])
        assert found[1] - found[0] == pytest.approx(wanted[1] - wanted[0], abs=1e-3)
    draws = posterior.sample(2000, x, seed=1, tried=200)
    mean, sd = moments(closed_form(x, 200))
    assert draws.mean() == pytest.approx(mean, abs=0.15 * sd)
    assert draws.std() == pytest.approx(sd, rel=0.1)
    with pytest.raises(ValueError, match=r"tried is 2.5; wanted a whole number, or one for each"):
        posterior.sample(100, x, tried=2.5)  # type: ignore[arg-type]
    single = Posterior(exact_estimator(), PRIOR, {})
    with pytest.raises(ValueError, match="'tried' is of events, and this estimator learnt whole"):
        single.log_prob(theta, x[0], tried=3)


def predictions(selected: Selected, seed: int = 1) -> xr.Dataset:
    """Predictions of sets of events with theta = 0, where half of them fail."""
    draws = xr.Dataset({"theta": ("draw", np.zeros(50))})
    x_o = xr.DataArray(np.ones((selected.worked, 1)), dims=("event", "column"))
    model = Model("test_selection:Detector", {}, Detector.parameters, SPECS)
    with Engine(model, "predictive/simulate") as engine:
        predictor = Predictor(engine, PRIOR, 300, seed, Path("unused"))
        tried = try_events(predictor, draws, "unused", selected, {})
        return predicted_events(tried, x_o, selected)


def test_sets_that_are_predicted_have_as_many_events_as_were_observed() -> None:
    found = predictions(Selected(worked=30, tried=None, chance=0.5))
    medians = found["replicates"].to_numpy()[:, 2, 0]
    assert 300 <= len(medians) <= 375
    # The median of 30 events of a half normal: 0.6745, its sd 1 / (2 f sqrt(30)).
    assert medians.mean() == pytest.approx(stats.halfnorm.median(), abs=0.03)
    wanted = 1 / (2 * stats.halfnorm.pdf(stats.halfnorm.median()) * np.sqrt(30))
    assert medians.std() == pytest.approx(wanted, rel=0.15)
    assert "worked" not in found
    assert len(found["x"]) == 300


def test_of_a_known_number_tried_it_is_predicted_how_many_work() -> None:
    found = predictions(Selected(worked=30, tried=60))
    worked = found["worked"].to_numpy()
    assert len(worked) == len(found["replicates"]) == 300
    assert worked.mean() == pytest.approx(30, abs=1)
    assert worked.std() == pytest.approx(np.sqrt(60) / 2, rel=0.15)
    assert found.attrs["worked_o"] == 30


def test_many_events_have_enough_sets_for_a_p_value() -> None:
    """With more than 250 events there were 100 sets, and the check always warned."""
    for events in (1, 50, 250, 1000, 10_000):
        assert event_predictions.sets_of_one(1000, events) >= 500
    assert event_predictions.sets_of_one(250, 1000) == 250


@pytest.mark.parametrize(
    ("told", "status", "words"),
    [
        ({}, "warn", "nothing says how the 98 observed were selected"),
        ({"said": "detected"}, "pass", "the 98 observed are those that worked of an unknown"),
        ({"said": "tried", "tried": 200}, "pass", "98 of 200 tried worked, which tells of"),
        ({"failed": 0.0005}, "pass", "0.05 % of simulated events failed"),
    ],
)
def test_it_is_told_which_events_there_are(told: dict[str, Any], status: str, words: str) -> None:
    known: Any = {"worked": 98, "tried": None, "said": "", "failed": 0.5, "modelled": True}
    check = synthetic.judged("selection", SelectedEvents(**{**known, **told}), "nle, event")
    assert check.status == status
    assert words in check.advice


def test_events_that_are_not_selected_are_no_fault_of_the_simulator() -> None:
    """Half of them have no data; a few more raise, which is a fault whatever is selected."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=10_000)
    reasons = np.where(theta + rng.normal(size=theta.size) < 0, "nan", "").astype(object)
    reasons[:50] = "raised"
    failed = ({"theta": theta}, reasons)
    counts = {reason: int((reasons == reason).sum()) for reason in ("nan", "raised")}
    found = {}
    for selection in ("", "detected"):
        rows = SimulatedRows(theta.size, counts, failed, selection=selection)
        for name in ("failures", "lost_prior"):
            (check,) = diagnostics.registered()[name].ask(name, rows, {}).checks  # type: ignore[union-attr]
            found[name, selection] = check.status
    assert found == {
        ("failures", ""): "fail",
        ("lost_prior", ""): "fail",
        ("failures", "detected"): "pass",
        ("lost_prior", "detected"): "pass",
    }


CONFIG = (Path(__file__).parent / "config.yaml").read_text()
MOCK = "      mock: {parameters: {slope: 0.5}}\n"
NUISANCES = "    nuisance_parameters: [offset, scatter]\n"
NLE = "    method: nle\n    training: {max_epochs: 2}\n"


def of_events(selection: str, entry: str, more: str = "") -> str:
    lines = f"    events: true\n    nuisance_scope: event\n    estimators: [nle]\n{more}"
    lines += f"    selection: {selection}\n" if selection else ""
    text = CONFIG.replace(NUISANCES, NUISANCES + lines)
    return text.replace(MOCK, f"      mock: {entry}\n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with sets of events in files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    x = np.ones((3, 4))
    np.savetxt("worked.csv", x, delimiter=",")
    x[1, 2] = np.nan
    np.savetxt("some_failed.csv", x, delimiter=",")
    return tmp_path


def load(text: str) -> Any:
    Path("config.yaml").write_text(text)
    return study.load_configuration(["config.yaml"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (of_events("tried", "{file: worked.csv}"), "mock: how many events were tried for this"),
        (of_events("tried", "{file: worked.csv, tried: 2}"), "got 2; the file holds 3 events that"),
        (of_events("", "{file: worked.csv, tried: 9}"), "tried: has no effect: it is for a file"),
        (
            of_events("tried", "{parameters: {slope: 0}, events: 9, tried: 9}"),
            "tried: has no effect: it is for a file",
        ),
        (of_events("tried", "{file: some_failed.csv, tried: 9}"), "empty, NaN or infinite"),
        (of_events("some", "{file: worked.csv}"), "selection: got 'some'; wanted"),
        (
            CONFIG.replace(NUISANCES, NUISANCES + "    selection: all\n"),
            "selection: has no effect: it is of a campaign with events: true",
        ),
        (
            of_events("all", "{file: worked.csv}").replace(
                NLE, f"{NLE[:-2]}, failures: ignore}}\n"
            ),
            "selection: 'nle' has failures: ignore, and events that failed tell of theta",
        ),
        (
            of_events("all", "{file: worked.csv, known: {offset: 0}}").replace(
                NUISANCES,
                "    nuisance_parameters: [scatter]\n    known_parameters: [offset]\n",
            ),
            "selection: the known parameters of events that failed are not known; wanted detected",
        ),
    ],
)
def test_selections_that_make_no_sense_are_refused(folder: Path, text: str, message: str) -> None:
    with pytest.raises(study.ConfigurationError, match=message):
        load(text)


def test_events_that_failed_are_counted(folder: Path) -> None:
    model = Model("tiny:Tiny", {}, ("slope", "offset", "scatter"), tiny_priors())
    told = {
        "some_failed.csv": ("all", {"file": "some_failed.csv"}, (2, 3)),
        "worked.csv": ("tried", {"file": "worked.csv", "tried": 7}, (3, 7)),
        "mock": ("tried", {"truth": {"slope": 0.1}, "events": 5}, (5, 5)),
        "both": (
            "tried",
            {"parts": {"a": {"file": "worked.csv", "tried": 7}, "b": {"events": 5}}},
            (8, 12),
        ),
        "unsaid": (None, {"file": "worked.csv"}, (3, None)),
    }
    for name, (selection, entry, wanted) in told.items():
        one = ToObserve(observation=folder / f"{name}.nc", key="k", **entry)
        options = {"several": True, "selection": selection, "inferred_parameters": ["slope"]}
        assert list(observe(each=[one], model=model, **options)) == [one]
        data = read_dataset(one.observation)
        assert (len(data["x"]), tried_of(data)) == wanted


def tiny_priors() -> Any:
    return yaml.safe_load(CONFIG)["campaigns"]["tiny"]["priors"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("method", ["nle", pytest.param("nre", marks=pytest.mark.study)])
def test_the_posteriors_of_events_of_which_half_failed(method: str) -> None:
    """The case of the issue, its exact answers made here: truncated, and with the number known."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    theta = PRIOR.from_uniform(rng.random((40_000, 1)))
    x = Detector()(theta, rng)
    worked = np.isfinite(x[:, 0])
    z = torch.as_tensor(PRIOR.to_normal(theta)).float()
    masks = {"train": np.arange(len(z)) % 20 > 0, "validation": np.arange(len(z)) % 20 == 0}
    kept = {name: mask[worked] for name, mask in masks.items()}
    good, data = z[worked], torch.as_tensor(x[worked]).float()
    made = estimators.build(method, good, data, seed=1, complete=False)
    fit(made, good, data, **kept, seed=1, threads=1, max_epochs=60, progress=False)
    torch.manual_seed(1)
    validity = Validity(1)
    validity.start_at(float(worked.mean()))
    fit(validity, z, torch.as_tensor(worked), **masks, seed=1, threads=1, progress=False)
    estimators.add_validity(made, validity)
    posterior = Posterior(made.eval(), PRIOR, {"events": True})
    x_o = observed().astype("f4")
    for tried in (None, 200):
        draws = posterior.sample(4000, x_o, seed=1, tried=tried)
        mean, sd = moments(closed_form(x_o, tried))
        assert draws.mean() == pytest.approx(mean, abs=0.5 * sd)
        assert draws.std() == pytest.approx(sd, rel=0.2)
