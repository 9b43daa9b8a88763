"""Problems whose posteriors are known on a grid, an estimator trained on them, and its checks.

Each has data of another kind, and nuisances: an image of a blob, a short light curve, a set of
points. Parameters are uniform on (0, 1).
"""

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
import torch
from scipy import stats
from scipy.special import logsumexp

from sbi_pipeline import diagnostics, estimators, priors
from sbi_pipeline.diagnostics.held_against import held_against, log_prob_of_pairs
from sbi_pipeline.diagnostics.ranks import rank
from sbi_pipeline.diagnostics.training import ending, judge_training
from sbi_pipeline.storage.reading import View
from sbi_pipeline.subjects import TrainedEstimator, beside_each_other
from sbi_pipeline.trained import Posterior
from sbi_pipeline.training.fit import fit, usual_epochs

TEST = 1000


class Blob:
    """The place of a blob in an image of noise; its brightness is a nuisance."""

    names = ("across", "up")
    network = MappingProxyType({"embedding": "auto"})
    pixels = np.arange(32)
    brightness = np.linspace(1.5, 4.5, 41)

    def draw(self, rng, n):
        u = rng.uniform(size=(n, 2))
        profiles = [self._profile(column) for column in u.T]
        bright = rng.uniform(1.5, 4.5, size=(n, 1, 1))
        clean = bright * profiles[1][:, :, None] * profiles[0][:, None]
        return u, clean + rng.normal(size=clean.shape)

    def _profile(self, u):
        return np.exp(-0.5 * ((self.pixels - 4 - 24 * np.atleast_1d(u)[:, None]) / 3) ** 2)

    def log_posterior(self, u, x):
        """Log density of one row u, ``(2,)``, over the prior's."""
        grid = self._profile((np.arange(193) + 0.5) / 193)
        whole = logsumexp(self._log_evidence(grid, grid, x)) - 2 * np.log(193)
        return self._log_evidence(self._profile(u[0]), self._profile(u[1]), x)[0, 0] - whole

    def _log_evidence(self, across, up, x):
        overlap = up @ x @ across.T
        size = (up**2).sum(1)[:, None] * (across**2).sum(1)
        terms = self.brightness * overlap[..., None] - self.brightness**2 / 2 * size[..., None]
        return logsumexp(terms, axis=-1)


class Flare:
    """The time of a flare in a light curve of 60 points; its height is a nuisance."""

    names = ("time",)
    network = MappingProxyType({"embedding": "mlp", "linear": False})
    times = np.arange(60)
    heights = np.linspace(2, 8, 61)

    def draw(self, rng, n):
        u = rng.uniform(size=(n, 1))
        return u, rng.uniform(2, 8, size=(n, 1)) * self._shape(u) + rng.normal(size=(n, 60))

    def _shape(self, u):
        since = self.times - 5 - 50 * u
        return np.where(since >= 0, np.exp(-np.abs(since) / 5), np.exp(-np.abs(since)))

    def log_posterior(self, u, x):
        """Log density of one row u, ``(1,)``, over the prior's."""
        grid = (np.arange(2000)[:, None] + 0.5) / 2000
        whole = logsumexp(self._log_evidence(grid, x)) - np.log(2000)
        return self._log_evidence(u[None], x)[0] - whole

    def _log_evidence(self, u, x):
        shapes = self._shape(u)
        size = (shapes**2).sum(1)[:, None]
        terms = self.heights * (shapes @ x)[:, None] - self.heights**2 / 2 * size
        return logsumexp(terms, axis=-1)


class Points:
    """Centre and spread of a set of 40 points with heavy tails."""

    names = ("centre", "spread")
    network = MappingProxyType({"embedding": "deep_set"})

    def draw(self, rng, n):
        u = rng.uniform(size=(n, 2))
        centre, spread = self._scales(u)
        return u, (centre + spread * rng.standard_t(3, size=(n, 40)))[..., None]

    def _scales(self, u):
        return -2 + 4 * u[:, :1], np.exp(-1.5 + 2 * u[:, 1:])

    def log_posterior(self, u, x):
        """Log density of one row u, ``(2,)``, over the prior's."""
        line = (np.arange(150) + 0.5) / 150
        grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
        whole = logsumexp(self._log_likelihood(grid, x)) - np.log(len(grid))
        return self._log_likelihood(u[None], x)[0] - whole

    def _log_likelihood(self, u, x):
        centre, spread = self._scales(u)
        away = (x[:, 0] - centre) / spread
        return (-2 * np.log1p(away**2 / 3) - np.log(spread)).sum(1)


class Moons:
    """Two parameters of a crescent, with two modes; x is of two numbers."""

    names = ("a", "b")
    network = MappingProxyType({})

    def draw(self, rng, n):
        u = rng.uniform(size=(n, 2))
        angle, radius = rng.uniform(-np.pi / 2, np.pi / 2, n), rng.normal(0.1, 0.01, n)
        crescent = np.stack([radius * np.cos(angle) + 0.25, radius * np.sin(angle)], 1)
        return u, crescent + self._shift(u)

    def _shift(self, u):
        a, b = (2 * u - 1).T
        return np.stack([-np.abs(a + b), b - a], 1) / 2**0.5

    def log_posterior(self, u, x):
        """Log density of one row u, ``(2,)``, over the prior's."""
        line = (np.arange(700) + 0.5) / 700
        grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
        whole = logsumexp(self._log_likelihood(grid, x)) - np.log(len(grid))
        return self._log_likelihood(u[None], x)[0] - whole

    def _log_likelihood(self, u, x):
        across, up = (x - self._shift(u) - [0.25, 0]).T
        radius = np.hypot(across, up)
        inside = -0.5 * ((radius - 0.1) / 0.01) ** 2 - np.log(radius)
        return np.where(across > 0, inside, -np.inf)


class Wave:
    """Frequency and phase of a wave in 50 numbers; its height is a nuisance."""

    names = ("frequency", "phase")
    network = MappingProxyType({})
    times = np.linspace(0, 1, 50)
    heights = np.linspace(1, 3, 21)

    def draw(self, rng, n):
        u = rng.uniform(size=(n, 2))
        return u, rng.uniform(1, 3, (n, 1)) * self._shape(u) + rng.normal(size=(n, 50))

    def _shape(self, u):
        return np.sin(2 * np.pi * ((1 + 3 * u[:, :1]) * self.times + u[:, 1:] / 2))

    def log_posterior(self, u, x):
        """Log density of one row u, ``(2,)``, over the prior's."""
        line = (np.arange(250) + 0.5) / 250
        grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
        whole = logsumexp(self._log_evidence(grid, x)) - np.log(len(grid))
        return self._log_evidence(u[None], x)[0] - whole

    _log_evidence = Flare._log_evidence


class Silent:
    """Data that say nothing of one parameter, and nothing or something of the other."""

    names = ("a", "b")
    network = MappingProxyType({})

    def __init__(self, of_a=False):
        self.of_a = of_a

    def draw(self, rng, n):
        u, x = rng.uniform(size=(n, 2)), rng.normal(size=(n, 5))
        x[:, 0] += 6 * u[:, 0] * self.of_a
        return u, x


class Line:
    """Both parameters, each in a number of its own with normal noise, the first also in others."""

    names = ("a", "b")
    network = MappingProxyType({})

    def draw(self, rng, n):
        u = rng.uniform(size=(n, 2))
        return u, np.column_stack([u, u[:, 0]]) + 0.1 * rng.normal(size=(n, 3))


@dataclass(frozen=True)
class Fitted:
    """An estimator that was trained on a problem, and the rows it learnt from."""

    method: str
    posterior: Posterior
    history: pd.DataFrame
    usual_epochs: int
    learnt: View

    def gain(self, test):
        """Log density over the prior's of the truths of other rows, in nats, ``(n,)``."""
        z = torch.as_tensor(self.posterior.prior.to_normal(test.theta)).float()
        log_prob = log_prob_of_pairs(self.posterior.estimator, z, torch.as_tensor(test.x))
        return log_prob - stats.norm.logpdf(z.double().numpy()).sum(axis=1)


@dataclass(frozen=True)
class Trained:
    """An estimator that was trained on a problem, and held-out rows it was asked about."""

    told: TrainedEstimator
    posterior: Posterior
    gain: np.ndarray
    u: np.ndarray
    x: np.ndarray

    def lost(self, problem, rows=500):
        """Nats lost against the exact posterior, mean and standard error."""
        pairs = zip(self.u[:rows], self.x[:rows], strict=True)
        exact = np.array([problem.log_posterior(*pair) for pair in pairs])
        lost = exact - self.gain[:rows]
        return lost.mean(), lost.std() / len(lost) ** 0.5


def simulated(problem, rows, seed=1):
    """Simulations to train on, and others to ask about."""
    rng = np.random.default_rng([seed, rows])
    return [_view(problem, rng, n) for n in (rows, TEST)]


def fitted(problem, view, *, seed=1, method="npe", epochs=None, network=None, **told):
    """Train on nine tenths of these simulations."""
    uniform = {"type": "uniform", "min": 0, "max": 1}
    prior = priors.build(dict.fromkeys(problem.names, uniform), problem.names)
    z = torch.as_tensor(prior.to_normal(view.theta)).float()
    x = torch.as_tensor(view.x)
    held_out = np.arange(len(z)) % 10 == 0
    options = {**problem.network, **(network or {})}
    learnt = view.theta[~held_out], view.x[~held_out]
    made = estimators.build(method, z[~held_out], x[~held_out], seed=seed, **options)
    history = fit(
        made,
        *(z, x),
        **{"train": ~held_out, "validation": held_out},
        **{"seed": seed, "threads": 1, "progress": False, "max_epochs": epochs},
        **told,
    )
    rows = len(learnt[0])
    return Fitted(
        method,
        Posterior(made, prior, {"training_rows": rows}),
        history,
        usual_epochs(made.traits, rows),
        View(*learnt, np.arange(rows), problem.names),
    )


@dataclass(frozen=True)
class EndedEarly:
    """A training that was given fewer epochs than are usual, and one of all of them.

    Attributes:
        warned: Whether the check `training` warns of the former.
        warned_usual: The same of the latter.
        lost: Nats by which truths of other rows are less probable under the former.
    """

    warned: bool
    warned_usual: bool
    lost: float


def ended_early(problem, rows, *, seed, share=0.3):
    """Train for a share of the usual epochs, and for all of them, on the same simulations."""
    view, test = simulated(problem, rows, seed)
    usual = fitted(problem, view, seed=seed)
    short = fitted(problem, view, seed=seed, epochs=round(share * usual.usual_epochs))
    warned = [
        judge_training(ending(each.history, each.usual_epochs), "npe").status != "pass"
        for each in (short, usual)
    ]
    return EndedEarly(*warned, (usual.gain(test) - short.gain(test)).mean())


def trained(problem, rows, *, seed=1, unseen="", **told):
    """Train on simulations, nine tenths of them, and ask about others."""
    view, test = simulated(problem, rows, seed)
    one = fitted(problem, view, seed=seed, **told)
    data = rank(one.posterior, test.theta, test.x, seed=1)
    beside = held_against(one.posterior, one.learnt, test.head(data.sizes["simulation"]), seed=1)
    calibration = data.assign(beside.data_vars).assign_attrs(beside.attrs)
    estimator = TrainedEstimator(
        *(one.method, one.method, one.history, calibration),
        **{"unseen": unseen, "usual_epochs": one.usual_epochs},
    )
    gain = (data["log_prob"] - data["prior_log_prob"]).to_numpy()
    return Trained(estimator, one.posterior, gain, test.theta, test.x)


def _view(problem, rng, n):
    u, x = problem.draw(rng, n)
    return View(u, x.astype(np.float32), np.arange(n), problem.names)


def checks_of(*estimators_told):
    """All checks of estimators of one campaign, by estimator and name."""
    found = {}
    for each in beside_each_other(estimators_told):
        for name, diagnostic in diagnostics.registered().items():
            if isinstance(each, diagnostic.of):
                finding = diagnostic.ask(name, each, {})
                checks = finding.checks if finding else ()
                found |= {(each.name, check.name): check for check in checks}
    return found
