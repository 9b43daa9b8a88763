"""A posterior mixed of what several methods learnt of the same rows: the method ``auto``.

Methods differ by more than settings of one do, and which is best depends on the problem:
likelihoods of few numbers are learnt from few simulations, posteriors of images are not learnt
otherwise at all. So several are trained (`choosing`), and mixed as a density with weights w_k that
make held-out truths likely (stacking):

    q(z | x) = sum_k w_k q_k(z | x),    q_k(z | x) = L_k(x | z) N(z; 0, I) / Z_k(x)

for a part that learnt a likelihood or a ratio L_k. Its evidence Z_k is found by reweighting draws
of the part that learnt the posterior itself, and so are its draws, or by MCMC where weights cannot
be trusted (`samplers.reweighting`). To all others the mixture is an estimator of the posterior with
draws and density, as NPE is.

References:
    Yao, Vehtari, Simpson & Gelman, Using stacking to average Bayesian predictive distributions,
    Bayesian Analysis 2018, https://arxiv.org/abs/1704.02030.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import MinLen, Predicate
from torch import Tensor, nn

from . import registry
from .estimators import Estimator, construct, traits
from .estimators.ensemble import share_out
from .networks.conditioning import Known
from .networks.encoders import Embedded
from .options import INTERNAL, Chosen, Described, OneOf, all_differ
from .posterior import log_posterior
from .types import Array, Traits

logger = logging.getLogger(__name__)

Methods = Annotated[
    list[Annotated[str, OneOf(registry.ESTIMATORS)]],
    MinLen(1),
    Predicate(all_differ),
    Described("a list of one or more different methods"),
    Chosen(),
]

AT_ONCE = 200  # data sets whose evidence is found together
REMEMBERED = 20_000  # data sets whose evidence is kept
EFFECTIVE = 100  # draws that those are worth that evidence is found by
SEED = 1  # of the draws that evidence is found by: a density is a function


class Portfolio(Estimator):
    """Trained estimators of one posterior, and their weights in the mixture.

    Args:
        theta_dim: Number of inferred parameters.
        x_shape: Shape of one data set.
        known: Number of conditions that are known of each.
        methods: What is trained and compared; one of them must have draws with a density, which
            the others are reweighted from; ``auto``: npe, and nle for data of at most 500
            numbers on one axis, nre for others. Of 5 000 training rows or fewer npe is trained
            twice, with and without a linear regression first.
        embedding: What maps data to features, for all but likelihoods.
        parts: The specs that parts are built from; the first one is reweighted for the others.
    """

    mixture: Tensor
    traits = Traits(target="posterior", conditions=True, circles=True, gaps=True, composed=True)

    def __init__(
        self,
        theta_dim: int,
        x_shape: tuple[int, ...],
        *,
        known: Known = 0,
        methods: Methods,
        embedding: Embedded = "auto",
        parts: Annotated[Sequence[Mapping[str, Any]], INTERNAL] = (),
    ) -> None:
        super().__init__()
        self.parts = nn.ModuleList(construct(spec, 0, None) for spec in parts)
        self.register_buffer("mixture", torch.full((len(parts),), 1 / max(1, len(parts))))
        self._evidence: dict[tuple[int, int, bytes], float] = {}

    @classmethod
    def check(cls, x_shape: tuple[int, ...] | None, **options: Any) -> None:
        """Refuse methods that cannot be mixed, or that nothing is reweighted from."""
        methods = options["methods"]
        if methods == "auto":
            return
        for method in methods:
            if traits(method).composed or not (traits(method).density and traits(method).joint):
                raise ValueError(
                    f"methods has {method}; wanted methods with a density of all parameters"
                )
        if not any(traits(method).proposes for method in methods):
            raise ValueError(
                f"methods is {', '.join(methods)}: none of them has draws that others are "
                "reweighted from; add npe"
            )

    @classmethod
    def of(cls, parts: Sequence[Estimator], weights: Sequence[float]) -> Portfolio:
        """Return the mixture of trained estimators, the first of which proposes, with weights."""
        first = parts[0].spec
        network = {"methods": [part.spec["method"] for part in parts]}
        network["parts"] = [dict(part.spec) for part in parts]
        shared = {key: each for key, each in first.items() if key not in ("periodic", "validity")}
        made = construct({**shared, "method": "auto", "network": network, "members": 1}, 0, None)
        assert isinstance(made, cls)
        for own, part in zip(made.parts, parts, strict=True):
            own.load_state_dict(part.state_dict())
        made.mixture.copy_(torch.as_tensor(weights))
        return made.eval()

    @property
    def members(self) -> list[Estimator]:
        """The parts, as the estimators they are."""
        found: Any = list(self.parts)
        return found

    @property
    def proposer(self) -> Estimator:
        """The part that the others are reweighted from."""
        return self.members[0]

    def loss(self, z: Tensor, x: Tensor) -> Tensor:
        """Return minus the log density, ``(n,)``; there is nothing to train by it."""
        return -self.log_prob(z, x)

    def doubts(self, x: Tensor) -> list[str]:
        """Return what the parts that count say of data, ``(n, *x_shape)``."""
        told = [part.doubts(x) for part, _ in self._counting()]
        return list(dict.fromkeys(text for texts in told for text in texts))

    def log_prob(self, z: Tensor, x: Tensor) -> Tensor:
        """Return log q(z | x) in nats, ``(n,)``, for paired rows or for one data set x."""
        logs = [
            self.log_prob_of(place, z, x) + weight.log()
            for place, weight in enumerate(self.mixture)
            if weight > 0
        ]
        return torch.stack(logs).logsumexp(0)

    @torch.no_grad()
    def log_prob_of(self, place: int, z: Tensor, x: Tensor, effective: int = EFFECTIVE) -> Tensor:
        """Return log q_k(z | x) of one part in nats, ``(n,)``, for paired rows or one data set.

        Args:
            place: Of the part.
            z: Parameters, ``(n, theta_dim)``.
            x: Data, ``(n, *x_shape)``, or one data set.
            effective: What the draws that the evidence is found by are to be worth.
        """
        part = self.members[place]
        if part.traits.draws:
            return torch.as_tensor(part.log_prob(z, x))
        data = x.reshape(-1, *self.shown_shape).cpu().numpy()
        rows = z.cpu().numpy().astype(float).reshape(len(data), -1, z.shape[1])
        log_prob = (
            log_posterior(part, data)(rows) - self._log_evidence(place, data, effective)[:, None]
        )
        return torch.as_tensor(log_prob.reshape(-1), dtype=z.dtype, device=z.device)

    def _log_evidence(self, place: int, x: Array, effective: int) -> Array:
        """Return log Z of one part for each of some data sets, ``(n,)``, each found once."""
        from . import samplers  # noqa: PLC0415 - xarray takes a second, which trainings save

        keys = [(place, effective, _digest(row)) for row in x]
        missing = {key: i for i, key in enumerate(keys) if key not in self._evidence}
        if len(self._evidence) + len(missing) > REMEMBERED:
            self._evidence.clear()
            missing = {key: i for i, key in enumerate(keys)}
        part = self.members[place]
        wanted = list(missing.values())
        for first in range(0, len(wanted), AT_ONCE):
            some = wanted[first : first + AT_ONCE]
            found = samplers.log_evidences(
                part, x[some], self.proposer, seed=SEED, effective=effective
            )
            self._evidence |= zip([keys[i] for i in some], found.tolist(), strict=True)
        return np.array([self._evidence[key] for key in keys])

    @torch.no_grad()
    def sample_many(self, n: int, x: Tensor) -> Tensor:
        """Draw ``(m, n, theta_dim)`` for data sets ``(m, *x_shape)``, in random order."""
        draws = [
            self._draws(part, count, x)
            for (part, weight), count in zip(
                self._counting(), share_out(n, self.mixture[self.mixture > 0]), strict=True
            )
            if count
        ]
        order = torch.randperm(n, device=x.device)
        return torch.cat(draws, 1)[:, order]

    def _counting(self) -> list[tuple[Estimator, Tensor]]:
        """Return the parts that have a weight, and these."""
        pairs = zip(self.members, self.mixture, strict=True)
        return [(part, weight) for part, weight in pairs if weight > 0]

    def _draws(self, part: Estimator, n: int, x: Tensor) -> Tensor:
        """Draw from one part, ``(m, n, theta_dim)``."""
        from . import samplers  # noqa: PLC0415 - as above

        if part.traits.draws:
            return part.sample_many(n, x)
        seed = int(torch.randint(2**31, (1,)))
        data, quick = x.cpu().numpy(), len(x) > 1
        try:
            z, _ = samplers.draw_many(part, data, n, seed=seed, proposal=self.proposer, quick=quick)
        except samplers.NotDrawn as error:
            logger.warning(
                "%s says nothing of %d of %d data sets (%s): %s draws alone",
                *(part.spec["method"], len(error.which), len(x), error),
                self.proposer.spec["method"],
            )
            return self.proposer.sample_many(n, x)
        return torch.as_tensor(z, dtype=torch.float32, device=x.device)


def _digest(row: Array) -> bytes:
    """Return what tells one data set from others."""
    return blake2b(row.tobytes(), digest_size=16).digest()
