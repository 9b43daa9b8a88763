"""Sets of events with a known fault, or none: how they were selected, and what adds up."""

import numpy as np
import synthetic
import torch
from scipy import stats

from sbi_pipeline import priors
from sbi_pipeline.diagnostics.accumulation import accumulated
from sbi_pipeline.diagnostics.predictive import typicality
from sbi_pipeline.diagnostics.scores import how_many_are_scored, score_events
from sbi_pipeline.estimators import Estimator
from sbi_pipeline.observations import event_quantiles
from sbi_pipeline.trained import Posterior
from sbi_pipeline.types import Traits

GRID = np.linspace(-4, 4, 2001)
TRIED, SETS = 1000, 500
"""Events x ~ N(theta, 1) that are tried, of which those below 0 fail; predicted sets."""


def selected(seed, *, said="detected", tried=TRIED, limit=0.0):
    """A posterior of events of which some fail, and its predictions, selected as is said.

    With ``tried`` another number is said to have been tried, with ``limit`` events below that were
    not kept, unknown to the simulator.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(rng.normal(0, 0.3), size=TRIED)
    x = x[x >= limit]
    log_posterior = stats.norm.logpdf(GRID, 0, 0.3) + stats.norm.logpdf(x[:, None], GRID).sum(0)
    if said == "tried":
        tried = max(tried, x.size)
        log_posterior += (tried - x.size) * stats.norm.logsf(GRID)
        size = (SETS, tried)
    else:
        log_posterior -= x.size * stats.norm.logcdf(GRID)
        size = (SETS, x.size)
    chance = np.exp(log_posterior - log_posterior.max())
    theta = rng.choice(GRID, p=chance / chance.sum())
    if said == "tried":
        sets = rng.normal(theta, size=size)
        sets[sets < 0] = np.nan
    else:
        sets = stats.truncnorm.rvs(-theta, np.inf, theta, size=size, random_state=rng)
    worked = np.append(x.size, np.isfinite(sets).sum(axis=1)) if said == "tried" else None
    found = typicality(event_quantiles(sets, axis=1), event_quantiles(x, axis=0), worked)
    return [synthetic.judged("predictive", found, "nle, events")]


SD = np.array([0.5, 2.0])
EVENTS = 500
PRIOR = priors.build(
    {name: {"type": "normal", "mean": 0, "sd": 1} for name in ("a", "b")}, ("a", "b")
)


class Learnt(Estimator):
    """A likelihood of events N(z, SD), off by a bias of the first parameter, or in its width.

    Args:
        bias: In sds of an event.
        wave: The same, times sin(pi z).
        width: Factor to the sd.
    """

    def __init__(self, *, bias=0.0, wave=0.0, width=1.0):
        super().__init__()
        self.spec = {"theta_dim": 2, "x_shape": [2]}
        self.traits = Traits(target="likelihood")
        self.anywhere = torch.nn.Parameter(torch.zeros(1))
        self.bias, self.wave, self.width = bias, wave, width

    def off(self, first):
        """Return by what the mean of an event is off, in its sds."""
        return self.bias + self.wave * np.sin(np.pi * first)

    def steepness(self, first):
        """Return by how much the mean of an event moves with the first parameter; 1 is right."""
        return 1 + SD[0] * self.wave * np.pi * np.cos(np.pi * first)

    def log_prob(self, z, x):
        sd = torch.as_tensor(SD).double()
        mean = z.double().clone()
        mean[:, 0] += sd[0] * (self.bias + self.wave * torch.sin(torch.pi * mean[:, 0]))
        return torch.distributions.Normal(mean, self.width * sd).log_prob(x.double()).sum(1)


def multiplied(seed, *, events=EVENTS, n=None, truth=(0.5, 0.0), **fault):
    """What adds up over events of one truth, of which so many are observed."""
    rng, learnt = np.random.default_rng(seed), Learnt(**fault)
    shift = np.array([learnt.off(truth[0]), 0.0]) * SD
    steep = np.array([learnt.steepness(truth[0]), 1.0])
    spread = SD / steep / np.sqrt(events)
    centre = np.array(truth) - shift / steep + spread * rng.normal(size=2)
    theta = centre + learnt.width * spread * rng.normal(size=(n or how_many_are_scored(events), 2))
    x = theta + SD * rng.normal(size=theta.shape)
    worked = np.ones(len(x), dtype=bool)
    posterior = Posterior(learnt, PRIOR, {"events": True})
    return score_events(posterior, theta, x.astype("f4"), worked, events, counted=False)


def accumulation(seed, **options):
    """Checks of what adds up over events."""
    events = options.get("events", EVENTS)
    found = accumulated(multiplied(seed, **options), events)
    return synthetic.judged("accumulation", found, "nle, events")


FAULTS = {
    "events biased by 3.4 sd of the posterior of 500": (
        accumulation,
        {"bias": 0.15},
        {"accumulation"},
    ),
    "the same bias with a sign that changes over the prior": (
        accumulation,
        {"wave": 0.15},
        {"accumulation"},
    ),
    "sd of events x 0.8": (accumulation, {"width": 0.8}, {"width of events"}),
    "events kept above a limit the simulator does not know": (
        selected,
        {"limit": 0.3},
        {"predictive"},
    ),
    "half of the events tried were forgotten": (
        selected,
        {"said": "tried", "tried": TRIED // 2},
        {"predictive"},
    ),
}
TRUTHS = {
    "500 events": accumulation,
    "detected events": selected,
    "events of a known number tried": lambda seed: selected(seed, said="tried"),
}
