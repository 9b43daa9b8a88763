"""Is the posterior honest at the observation, rather than on average? A local two-sample test.

For an exact posterior the truth of each held-out simulation is one more of its draws, whatever the
data: a classifier cannot tell it from them, least of all near the observation. This is the idea of
L-C2ST. The classifier here is quadratic in the normal scores of the parameters, weighted to the
observation by a kernel, and instead of being trained to the end it takes one Newton step from
knowing nothing (a score test). Its null is exact, since within a simulation truth and draws can
be exchanged. Exchanges go on until some look as unlike as the truth does, or there are many, so
that a small p-value is known where many checks make it necessary (Besag & Clifford).

Near are simulations of which the estimator says about the same as of the observation: means and
widths of its posterior are alike (`statements`). Data of many elements are all equally far from
each other: of 1 000 simulations of 200 elements a kernel on the elements weighs 970 alike. The
width of the kernel is chosen for its effective number of simulations, a tenth of all.

References:
    Linhart, Gramfort, Rodrigues, L-C2ST: local diagnostics for posterior approximations in
        simulation-based inference, 2023, https://arxiv.org/abs/2306.03580
    Besag & Clifford, Sequential Monte Carlo p-values, Biometrika 78, 1991,
        https://doi.org/10.1093/biomet/78.2.301
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from .. import streams
from ..sampled_posteriors import Neighbourhood
from ..types import Array, Prior
from .check import Check, WarnFail, significant
from .diagnostic import Diagnostic
from .remedies import OF_REFINED, REWEIGHTED
from .statements import statements
from .typicality import features_of

FRACTION, FEWEST = 0.1, 50
"""Of held-out simulations, the effective part that is near, and how many at least."""
MOST = 1 / 3
"""The largest part of the held-out simulations that may be called near."""
ALONE = 1.25
"""Times as far from its neighbours as any simulation from its own: nothing is near."""
COMPARED = 1000
"""Simulations whose neighbours are looked for."""
FAR = 1e-3
"""Simulations that weigh less than this against the nearest are left out."""
EXCHANGES, MOST_AT_ONCE, MOST_EXCHANGES = 250, 2_000, 10_000
"""Exchanges made at first, then twice as many each time up to the second, and in all."""
REACHED = 20
"""Exchanges as unlike as the truth, with which the p-value is known well enough."""


@dataclass(frozen=True)
class Local:
    """How the truth differs from draws of its posterior, for data like the observation.

    Attributes:
        p_value: Of all differences together, by exchanging truth and draws.
        differences: By what differs, in words for a reader: of means in posterior sds, of
            variances and covariances in those of a standard normal.
        simulations: Kish's effective number of simulations it rests on.
        why_not: Why nothing was tested, in words; empty where it was.
        least_p: What the p-value is at least.
        method: Of the posterior, as calibrations tell it.
        closer: Whether posterior SBC can look closer: it asks estimators with a joint density.
    """

    p_value: float
    differences: dict[str, float]
    simulations: float
    why_not: str = ""
    least_p: float = 1 / (1 + MOST_EXCHANGES)
    method: str = ""
    closer: bool = True

    @property
    def worst(self) -> str:
        """The largest of the differences."""
        return max(self.differences, key=lambda name: abs(self.differences[name]))


def local_test(
    scores: Array,
    names: Sequence[str],
    weights: Array,
    *,
    joint: bool = True,
    seed: int = 0,
) -> Local:
    """Test the posterior for data like the observation.

    Args:
        scores: From `ranks.normal_scores`, ``(n, 1 + members, dim)``.
        names: Of the parameters.
        weights: How near each simulation is, ``(n,)``, as `kernel` returns them.
        joint: Whether correlations of parameters are tested; of margins there are none.
        seed: Of the exchanges.
    """
    near = weights > FAR * weights.max()
    every = np.arange(len(names))
    i, j = np.triu_indices(len(names)) if joint else (every, every)
    products = scores[near][..., i] * scores[near][..., j]
    features = np.concatenate([scores[near], products], axis=-1)
    weights = weights[near] / weights[near].sum()
    # What all members of a simulation share says nothing of which is the truth.
    members = features.shape[1]
    features = (features - features.mean(axis=1, keepdims=True)) * weights[:, None, None]
    rows = features.reshape(-1, features.shape[-1])
    covariance = rows.T @ rows / members
    covariance += 1e-3 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    step = features[:, 0].sum(axis=0)
    unlike = step * members / (members - 1)  # from the mean of all to that of the others
    unlike[len(names) :] -= unlike[i] * unlike[j]  # a shift alone is no width and no correlation
    return Local(
        p_value=_by_exchanges(features, covariance, np.random.default_rng(seed)),
        differences=dict(zip(_names(names, i, j), unlike.tolist(), strict=True)),
        simulations=float(1 / np.sum(weights**2)),
    )


def _by_exchanges(features: Array, covariance: Array, rng: np.random.Generator) -> float:
    """Return how often a step is as long if any member of each simulation is taken for the truth.

    Args:
        features: Of the members, the truth first, weighted and centred, ``(n, members, features)``.
        covariance: By which lengths of steps are measured.
        rng: Chooses members.
    """
    from scipy import linalg, sparse  # noqa: PLC0415

    n, members, size = features.shape
    # In these units the covariance is the identity, so that a length is a plain sum of squares.
    root = linalg.cholesky(covariance, lower=True)
    rows = linalg.solve_triangular(root, features.reshape(-1, size).T, lower=True).T
    own = np.sum(rows[::members].sum(axis=0) ** 2) * (1 - 1e-9)
    reached, made, now = 0, 0, EXCHANGES
    while reached < REACHED and made < MOST_EXCHANGES:
        now = min(now, MOST_EXCHANGES - made)
        chosen = rng.integers(members, size=(now, n), dtype=np.uint8)
        places, ends = (chosen + members * np.arange(n)).ravel(), n * np.arange(now + 1)
        picked = sparse.csr_array((np.ones(now * n), places, ends), shape=(now, n * members))
        steps = picked @ rows
        lengths = np.einsum("kf,kf->k", steps, steps)
        reached, made = reached + int((lengths >= own).sum()), made + now
        now = min(2 * now, MOST_AT_ONCE)
    return (1 + reached) / (1 + made)


def _names(names: Sequence[str], first: Array, second: Array) -> list[str]:
    products = (
        f"the width of {names[i]}" if i == j else f"the correlation of {names[i]} and {names[j]}"
        for i, j in zip(first.tolist(), second.tolist(), strict=True)
    )
    return [*(f"the mean of {name}" for name in names), *products]


def unlikeness(said: Array, here: Array) -> Array:
    """Return by how much what is said of simulations differs, as a squared distance, ``(n,)``."""
    return np.asarray(((said - here) ** 2).sum(axis=-1))


def kernel(squared: Array, effective: float) -> Array:
    """Return weights, ``(n,)``, that fall with the distance, of an effective number.

    Args:
        squared: Distances, squared, ``(n,)``.
        effective: Kish's number of the weights.
    """
    nearer = squared - squared.min()
    low, high = 1e-12, 1e12
    for _ in range(60):
        width = math.sqrt(low * high)
        weights = np.exp(-nearer / width)
        enough = weights.sum() ** 2 / (weights**2).sum() >= effective
        low, high = (low, width) if enough else (width, high)
    return np.asarray(np.exp(-nearer / high))


def stands_alone(said: Array, here: Array, neighbours: int) -> bool:
    """Say whether an observation is farther from its neighbours than any simulation from its own.

    Args:
        said: What is said of the simulations, ``(n, statements)``.
        here: What is said of the observation, ``(statements,)``.
        neighbours: How many.
    """
    from scipy.spatial.distance import cdist  # noqa: PLC0415

    own = np.partition(unlikeness(said, here), neighbours - 1)[neighbours - 1]
    each = np.partition(cdist(said[:COMPARED], said), neighbours, axis=1)[:, neighbours]
    return bool(own > (ALONE * each.max()) ** 2)


def measure_local_calibration(asked: Neighbourhood) -> Local | None:
    """Test the estimator on held-out simulations of which it says what it says here.

    None where none are near, and posterior SBC has looked closer.
    """
    data = asked.estimator.ranked
    prior = asked.estimator.prior
    if data is None or prior is None:
        return None
    method = str(data.attrs.get("method", ""))
    has_density = "log density" in data.coords.get("quantity", ())
    found = _measured(asked, data, prior)
    if found is None:
        return None
    return replace(found, method=method, closer=has_density and method not in OF_REFINED)


def _measured(asked: Neighbourhood, data: xr.Dataset, prior: Prior) -> Local | None:
    said, here = said_of(asked, data, prior)
    rows = len(said)
    neighbours, closer = max(FEWEST, round(FRACTION * rows)), asked.posterior.ranked is not None
    if neighbours > MOST * rows:
        why_not = f"{rows} held-out simulations are too few"
        return None if closer else Local(math.nan, {}, rows, why_not)
    if stands_alone(said, here, neighbours):
        why_not = f"none of {rows} held-out simulations is near enough"
        return None if closer else Local(math.nan, {}, 0, why_not)
    return local_test(
        data["scores"].to_numpy(),
        [str(name) for name in data["parameter"].to_numpy()],
        kernel(unlikeness(said, here), neighbours),
        joint="joint_ranks" in data,
    )


def said_of(asked: Neighbourhood, data: xr.Dataset, prior: Prior) -> tuple[Array, Array]:
    """Return what is said of simulations and of the observation, under which known conditions.

    Args:
        asked: The estimator and the observation.
        data: Its calibration.
        prior: Of its parameters.
    """
    said = data["said"].to_numpy()
    theta = np.stack([asked.posterior.columns[name] for name in prior.names], axis=1)
    some = streams.some(len(theta), min(len(theta), int(data.attrs["draws"])))
    here = statements(prior.to_normal(theta[some])[None], prior)[0]
    if asked.known is None or not asked.conditions:
        return said, here
    given = [float(asked.posterior.known[name]) for name in asked.conditions]
    conditions = features_of(np.vstack([given, asked.known]))
    return np.hstack([said, conditions[1:]]), np.append(here, conditions[0])


def judge_local_calibration(
    found: Local,
    subject: str,
    *,
    p: WarnFail = (0.005, 0.001),
    difference: WarnFail = (0.1, 0.3),
) -> Check:
    """Judge whether the posterior is honest for data like the observation (a local C2ST).

    Args:
        found: As made by `local_test`.
        subject: Estimator and observation.
        p: P-value: warn below, fail below.
        difference: Largest difference of truths from draws, in posterior sds for means: smaller
            than the first never matters, larger than the second is needed to fail.
    """
    if found.why_not:
        return _not_local(found, subject)
    size = abs(found.differences[found.worst])
    judged = significant(found.p_value, size, p, difference, "local_calibration")
    return judged.check(
        name="local calibration",
        subject=subject,
        quantity="local C2ST: largest difference of truths from draws, near the observation "
        f"({found.worst}, p = {found.p_value:.2g}, {found.simulations:.0f} simulations)",
        value=found.differences[found.worst],
        chance=f"0 ± {1 / math.sqrt(found.simulations):.2g} for a mean",
        good="The posterior is honest for data like the observation.",
        bad=f"For data like the observation {found.worst} is off; {_remedy(found.method)}.",
    )


def _remedy(method: str) -> str:
    if method == "reweighted":
        return REWEIGHTED
    if method == "recalibrated":
        return "one correction for all data does not mend that: reweight with a likelihood instead"
    return "train on more simulations, or reweight with a likelihood"


def _not_local(found: Local, subject: str) -> Check:
    """Warn that honesty near the observation cannot be judged, and say what can."""
    closer = "simulate where the posterior is (posterior_calibration: 500), or "
    closer = closer if found.closer else ""
    return Check(
        name="local calibration",
        subject=subject,
        status="warn",
        quantity=f"local C2ST: not local, {found.why_not}",
        value=found.p_value,
        threshold=f"{FEWEST} near, at most a third of all",
        chance="never for data like those of the simulations",
        advice="Whether the posterior is honest for data like the observation cannot be judged "
        f"from held-out simulations; {closer}hold out more (split.test).",
    )


LOCAL_CALIBRATION = Diagnostic(
    of=Neighbourhood,
    measure=measure_local_calibration,
    judge=judge_local_calibration,
    checks=("local calibration",),
    value="local C2ST: truths against draws near the observation",
    chance="exact, by exchanges",
)
