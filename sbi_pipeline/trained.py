"""A trained estimator with its prior: what a notebook needs.

posterior = sbi_pipeline.load("results/influenza/npe/estimator.pt")
theta = posterior.sample(1000, x=x_o)
log_prob = posterior.log_prob(theta, x=x_o)

Where there are known parameters, both take their values: ``known={"exposure": 3.2}``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import estimators, priors, samplers
from .conditions import NO_CONDITIONS, Conditions, conditions_of
from .estimators import Estimator
from .posterior import doubts, log_posterior, to_theta_density
from .priors.boxes import truncated
from .shapes import as_sets, fitted_to
from .types import Array, Prior

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Posterior:
    """A trained estimator with its prior, for use in a notebook."""

    estimator: Estimator
    prior: Prior
    header: dict[str, Any]
    conditions: Conditions = NO_CONDITIONS

    @property
    def events(self) -> bool:
        """Whether it was trained on single events, of which a data set has several."""
        return bool(self.header.get("events", False))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the inferred parameters, in order."""
        return self.prior.names

    def sample(
        self,
        n: int,
        x: Array | Sequence[Array],
        seed: int = 0,
        known: Mapping[str, Any] | None = None,
        tried: int | Sequence[int] | None = None,
        **sampler: Any,
    ) -> Array:
        """Draw from the posterior.

        Args:
            n: Number of draws.
            x: One data set, ``x_shape``; a list or tuple of data sets, which are observations of
                one source and have one posterior, the prior counted once; or an array of several,
                ``(m, *x_shape)``, each with a posterior of its own. Trained on single events, one
                data set is ``(events, *x_shape)``. Axes of length one may differ.
            seed: Seed of the draws.
            known: Values of the known parameters: a number each, or one for each data set,
                ``(m,)``; of events or of joined data sets, a number or one for each, ``(events,)``
                or ``(m, events)``.
            tried: How many events were tried for a data set, those that failed among them: a
                number, or one for each data set, ``(m,)``; None where only those that worked were
                kept, and nobody knows how many others there were.
            **sampler: Options of the sampler, see `samplers.draw`.

        Returns:
            theta, ``(n, theta_dim)``, or ``(m, n, theta_dim)``.
        """
        data, single, joined = self._data_sets(x)
        shown = self._shown(data, known, joined)
        for doubt in doubts(self.estimator, shown):
            logger.warning("%s", doubt)
        settings = {"prior": self.prior, "events": self.events, "joined": joined, **sampler}
        settings["tried"] = self._tried(tried, len(data))
        drawn = samplers.draw(self.estimator, shown, n, seed=seed, **settings)
        theta = np.stack([self.prior.from_normal(z) for z in drawn.flat(n)])
        return theta[0] if single else theta

    def _data_sets(self, x: Any) -> tuple[Array, bool, bool]:
        """Return data sets, ``(m, ...)``, whether they are one, and whether that joins several.

        Of a list, events of several data sets are one set, and others are joined.
        """
        for each in x if isinstance(x, list | tuple) else [x]:
            if np.ma.is_masked(each):
                raise ValueError(f"x has {np.ma.count_masked(each)} values that are masked")
        x_shape = tuple(self.estimator.spec["x_shape"])
        axes = len(x_shape) + self.events
        if not (isinstance(x, list | tuple) and all(np.ndim(each) >= axes for each in x)):
            return *as_sets(np.asarray(x), x_shape, self.events), False
        fitted = [fitted_to(np.asarray(each), x_shape, self.events) for each in x]
        parts = [each for each in fitted if each is not None]
        if len(parts) < len(x):
            shapes = " and ".join(str(np.shape(each)) for each in x)
            raise ValueError(
                f"x has data sets of shapes {shapes}; those of one source have one, and the "
                f"estimator learnt {'(events, ...) of ' if self.events else ''}{x_shape}"
            )
        if self.events:
            return np.concatenate(parts)[None], True, False
        together = parts[0] if len(parts) == 1 else np.stack(parts)
        return together[None], True, len(parts) > 1

    def _shown(self, data: Array, known: Mapping[str, Any] | None, joined: bool) -> Array:
        """Return data sets as the estimator is shown them, ``(m, ...)``."""
        shape = data.shape[: 1 + (self.events or joined)]
        return self.conditions.beside(data, self.conditions.of(known, shape))

    def _tried(self, tried: int | Sequence[int] | None, m: int) -> Array | None:
        """Return how many events were tried for each data set, ``(m,)``; None if nobody knows."""
        if tried is None:
            return None
        if not self.events:
            raise ValueError("'tried' is of events, and this estimator learnt whole data sets")
        numbers = np.asarray(tried)
        if numbers.dtype.kind not in "iu" or numbers.shape not in ((), (m,)):
            raise ValueError(f"tried is {tried!r}; wanted a whole number, or one for each of {m}")
        return np.broadcast_to(numbers, (m,))

    def log_prob(
        self,
        theta: Array,
        x: Array | Sequence[Array],
        known: Mapping[str, Any] | None = None,
        tried: int | None = None,
    ) -> Array:
        """Log posterior density, ``(n,)``, at theta, ``(n, theta_dim)``, for one ``x``.

        Of a list of data sets, the observations of one source, it is of all of them. Normalised for
        NPE of one observation; up to a constant for several, and for NLE and NRE; -inf outside the
        prior, and outside the box of it that a round of simulations was drawn from
        (``prior.box``). ``known`` and ``tried`` are as for `sample`.

        Raises:
            ValueError: The method draws but has no density.
        """
        if not self.estimator.traits.density:
            others = estimators.having(lambda traits: traits.proposes)
            raise ValueError(f"{self.header['method']} has no density; take {others} for one")
        theta = np.atleast_2d(theta)
        log_prior = self.prior.log_prob(theta)
        inside = np.isfinite(log_prior)
        result = np.full(len(theta), -np.inf)
        z = self.prior.to_normal(theta[inside])
        data, _, joined = self._data_sets(x)
        shown = self._shown(data, known, joined)
        density = log_posterior(
            self.estimator, shown, self.events, joined=joined, tried=self._tried(tried, 1)
        )
        log_prob = density(z[None])[0]
        result[inside] = to_theta_density(log_prob, z, self.prior)
        return result


def load(
    path: str | Path, device: str = "cpu", parameters: Sequence[str] | None = None
) -> Posterior:
    """Read ``estimator.pt`` and what it says of its prior.

    Args:
        path: The file.
        device: Where to put the network.
        parameters: The inferred parameters in the order in which theta is used; None to take
            them as they are.

    Raises:
        ValueError: The file is of another format, damaged, or has its parameters in another order.
    """
    estimator, header = estimators.load_estimator(Path(path), device=device)
    if parameters is not None and list(parameters) != header["inferred_parameters"]:
        raise ValueError(
            f"{path} was trained on {', '.join(header['inferred_parameters'])}, in this order; "
            f"wanted {', '.join(parameters)}"
        )
    prior = truncated(priors.of_header(header), header.get("box"))
    return Posterior(estimator, prior, header, conditions_of(header))
