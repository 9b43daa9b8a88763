"""What ratio estimators share: a classifier that tells a row's own parameters from alternatives.

Objective (NRE-C): for each x, tell K parameter vectors drawn without regard to x from such a set
in which one is its own, or is not. With r = exp(f(z, x)) and odds gamma the loss of a row is

    [ log(K + gamma * sum_k r(z_k, x)) - log K ]
    + gamma * [ log(K + gamma * (r(z, x) + sum_{k<K} r(z_k, x))) - log(gamma * r(z, x)) ],

over (1 + gamma); its minimum is f = log p(x | z) / p(x) exactly. K = gamma = 1 is the usual binary
classifier (NRE-A). The z_k are those of other rows of the batch.

Where a linear regression comes first, half of the z_k are drawn from its answer instead, a Student
distribution about W x + b with the residuals' scale: against parameters from all over the prior a
narrow posterior is told at a glance, and nothing is learnt of its shape. The classifier's f is then
the log of p(z | x) over that mixture, and the log ratio follows, since the densities of regression
and prior are known.

Where rows were drawn from another density than the prior, their losses are weighted by prior over
density, and the other z_k are drawn from the prior itself: f is the log ratio under the prior, and
holds log p(valid | z), too, where simulations failed. Discrete parameters have no such draws, and
their losses no weights: f is then log p(x | z) but for a constant, which is right all the same.

References:
    Hermans, Begy & Louppe, Likelihood-free MCMC with amortized approximate ratio estimators,
    ICML 2020, https://arxiv.org/abs/1903.04057.
    Miller, Weniger & Forré, Contrastive neural ratio estimation, NeurIPS 2022,
    https://arxiv.org/abs/2210.06170.
    Gutmann & Hyvärinen, Noise-contrastive estimation, AISTATS 2010,
    https://proceedings.mlr.press/v9/gutmann10a.html (noise should be like the data).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor

from ..networks.conditioning import Conditioner, check_conditioner, choose_conditioner
from ..networks.periodic import is_periodic, without_circles
from ..options import INTERNAL, Chosen, Few, Fraction, Passes, Positive
from .estimator import Estimator, Preview

DEGREES = 4
"""Of freedom of the alternatives near the answer: MCMC must not find what none has contradicted."""
EDGE = 4.0
"""In normal space, beyond which nothing is learnt: one parameter in 16 000 lies there, too few to
teach a network what MCMC would ask of it."""


class Contrastive(Estimator):
    """A classifier of parameters and alternatives, told a summary of x; its networks are to come.

    Args:
        theta_dim: Number of inferred parameters.
        x_shape: Shape of one data set.
        alternatives: Number K of parameter vectors a data set is compared with.
        gamma: Odds that one of them is its own.
        near: Share of the alternatives that is drawn from the linear regression, if there is one;
            ``auto``: half of them, or none where simulations failed, their parameters do not follow
            the prior, or one is discrete.
        far: Where the others come from: ``rows`` of the batch, or the ``prior``, where rows are
            weighted, since they were drawn from another density.
        periodic: Columns of z that are of periodic parameters.
        **conditioner: Options of `conditioning.Conditioner`; ``"auto"`` looks at the data.
    """

    periodic: Tensor | None

    def __init__(
        self,
        theta_dim: int,
        x_shape: tuple[int, ...],
        *,
        alternatives: Few = 8,
        gamma: Positive = 1.0,
        near: Annotated[Fraction, Chosen()] = 0.0,
        far: Annotated[str, INTERNAL] = "rows",
        periodic: Annotated[Sequence[int], INTERNAL] = (),
        **conditioner: Annotated[Any, Passes(Conditioner, given=2)],
    ) -> None:
        super().__init__()
        if not 0 <= near < 1:
            raise ValueError(f"near is {near}; wanted a share of at least 0 and below 1")
        if alternatives < 1 or gamma <= 0:
            raise ValueError(
                f"alternatives is {alternatives} and gamma {gamma}; at least 1 and above 0 wanted"
            )
        self.alternatives, self.gamma, self.far_from = alternatives, gamma, far
        self.conditioner = Conditioner(theta_dim, x_shape, **conditioner)
        self.register_buffer("periodic", is_periodic(theta_dim, periodic), persistent=False)
        self.near = near if self.conditioner.linear is not None else 0.0

    @classmethod
    def check(cls, x_shape: tuple[int, ...] | None, **options: Any) -> None:
        """Refuse what `conditioning.check_conditioner` does."""
        check_conditioner(x_shape, **options)

    @classmethod
    def learns_prior(cls, discrete: bool) -> bool:
        """Say whether it does: where alternatives can be drawn from the prior, or draws are."""
        return not discrete or cls.traits.target == "posterior"

    @classmethod
    def choose(cls, preview: Preview, **options: Any) -> dict[str, Any]:
        """Replace what is left to be chosen from training data by the choice."""
        if preview.weighted:
            options["far"] = "prior"
        if options.setdefault("near", "auto") == "auto":
            options["near"] = choose_near(preview)
        elif options["near"] and not preview.follows:
            raise ValueError(
                f"near is {options['near']}, but alternatives of a regression are weighed against "
                "the prior, which the rows do not follow; leave near at auto"
            )
        return choose_conditioner(preview.given, preview.x, gaps=preview.gaps, **options)

    def fit_scales(self, z: Tensor, x: Tensor) -> None:
        """Set what is fitted beforehand to training rows, ``(n, theta_dim)``, ``(n, *x_shape)``.

        A regression tells nothing of a circle: it is given periodic parameters of other rows.
        """
        self.conditioner.fit_scales(without_circles(z, self.periodic, z.roll(1, 0)), x)

    def doubts(self, x: Tensor) -> list[str]:
        """Say what of data is beyond the limits of training rows, see `scaling`."""
        return self.conditioner.doubts(x)

    def far(self, z: Tensor) -> Tensor:
        """Return K alternatives to each row, ``(K, n, theta_dim)``: of rows before, or the prior.

        Of a small batch there are fewer.

        Raises:
            ValueError: The batch has one row.
        """
        k = min(self.alternatives, len(z) - 1)
        if self.far_from == "prior":
            return torch.randn(self.alternatives, *z.shape, dtype=z.dtype, device=z.device)
        if k < 1:
            raise ValueError("a batch of one row has nothing to be compared with")
        return torch.stack([z.roll(shift, 0) for shift in range(1, k + 1)])


def choose_near(preview: Preview) -> float:
    """Return the share of alternatives that may be drawn from a linear regression.

    They are weighed against the prior: z must be of the whole of it, which it is not where
    simulations failed or come from elsewhere, and continuous like the regression.
    """
    discrete = any(2 * len(column.unique()) < len(preview.z) for column in preview.z.T)
    whole = preview.weighted or (preview.complete and preview.follows)
    return 0.5 if whole and not discrete else 0.0


def contrastive_loss(logits: Tensor, gamma: float) -> Tensor:
    """Return the loss at the top of each row, ``(n, ...)``, from logits, ``(K + 1, n, ...)``.

    The first of them are of a row's own parameters, the others of its alternatives.
    """
    own, k = logits[0], len(logits) - 1
    log_k, log_gamma = math.log(k), math.log(gamma)
    none_own = total(logits[1:], log_k, log_gamma) - log_k
    one_own = total(logits[:k], log_k, log_gamma) - log_gamma - own
    return (none_own + gamma * one_own) / (1 + gamma)


def total(logits: Tensor, log_k: float, log_gamma: float) -> Tensor:
    """Return log(K + gamma * sum exp(logits)) over the first axis, ``(n, ...)``."""
    return torch.logaddexp(logits.logsumexp(0) + log_gamma, logits.new_tensor(log_k))
