"""Sets of events with a known fault, or none: how they were selected, and what adds up over them."""

import numpy as np
import synthetic
from scipy import stats

from sbi_pipeline.diagnostics.predictive import typicality
from sbi_pipeline.observations import event_quantiles

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


FAULTS = {
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
    "detected events": selected,
    "events of a known number tried": lambda seed: selected(seed, said="tried"),
}
