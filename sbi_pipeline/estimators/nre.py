"""Neural ratio estimation: a classifier of joint against independent pairs (z, x).

Objective (NRE-C): for each x, tell K parameter vectors drawn without regard to x from such a set
in which one is its own, or is not. With r = exp(f(z, x)) and odds gamma the loss of a row is

    [ log(K + gamma * sum_k r(z_k, x)) - log K ]
    + gamma * [ log(K + gamma * (r(z, x) + sum_{k<K} r(z_k, x))) - log(gamma * r(z, x)) ],

over (1 + gamma); its minimum is f = log p(x | z) / p(x) exactly. K = gamma = 1 is the usual binary
classifier (NRE-A). ``log_prob(z, x)`` is the log ratio, f, in nats: the log posterior is that plus
the log prior. The z_k are those of other rows of the batch. ``balance`` adds a penalty on
classifiers whose mean output on joint and independent pairs do not sum to one, which keeps
posteriors from being too narrow.

Where a linear regression comes first, half of the z_k are drawn from its answer instead, a Student
distribution about W x + b with the residuals' scale: against parameters from all over the prior a
narrow posterior is told at a glance, and nothing is learnt of its shape. The classifier's f is then
the log of p(z | x) over that mixture, and the log ratio follows, since the densities of regression
and prior are known.

References:
    Hermans, Begy & Louppe, Likelihood-free MCMC with amortized approximate ratio estimators,
    ICML 2020, https://arxiv.org/abs/1903.04057.
    Miller, Weniger & Forré, Contrastive neural ratio estimation, NeurIPS 2022,
    https://arxiv.org/abs/2210.06170.
    Gutmann & Hyvärinen, Noise-contrastive estimation, AISTATS 2010,
    https://proceedings.mlr.press/v9/gutmann10a.html (noise should be like the data).
    Delaunoy et al., Towards reliable simulation-based inference with balanced neural ratio
    estimation, NeurIPS 2022, https://arxiv.org/abs/2208.13624.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from torch import Tensor

from ..networks.conditioning import Conditioner, check_conditioner, choose_conditioner
from ..networks.residual import ResidualMLP, start_at
from ..networks.scaling import as_ranks
from ..options import Chosen, Depth, Few, Fraction, NonNegative, Passes, Positive, Width
from ..types import Traits
from .estimator import Estimator, Preview

DEGREES = 4
"""Of freedom of the alternatives near the answer: MCMC must not find what none has contradicted."""
EDGE = 4.0
"""In normal space, beyond which nothing is learnt: one parameter in 16 000 lies there, too few to
teach a network what MCMC would ask of it."""


class NRE(Estimator):
    """Residual network of z and x whose output is the log ratio.

    Args:
        theta_dim: Number of inferred parameters.
        x_shape: Shape of one data set.
        alternatives: Number K of parameter vectors a data set is compared with.
        gamma: Odds that one of them is its own.
        balance: Weight of the balancing penalty; 100 is what its authors use.
        near: Share of the alternatives that is drawn from the linear regression, if there is one;
            ``auto``: half of them, or none where simulations failed, their parameters do not follow
            the prior, or one is discrete.
        hidden: Width of the network.
        blocks: Number of residual blocks.
        **conditioner: Options of `conditioning.Conditioner`; ``"auto"`` looks at the data.
    """

    traits = Traits(target="ratio", learning_rate=1e-3)

    def __init__(
        self,
        theta_dim: int,
        x_shape: tuple[int, ...],
        *,
        alternatives: Few = 8,
        gamma: Positive = 1.0,
        balance: NonNegative = 0.0,
        near: Annotated[Fraction, Chosen()] = 0.0,
        hidden: Width = 128,
        blocks: Depth = 3,
        **conditioner: Annotated[Any, Passes(Conditioner, given=2)],
    ) -> None:
        super().__init__()
        check_contrast(alternatives, gamma, near)
        self.alternatives, self.gamma, self.balance = alternatives, gamma, balance
        self.conditioner = Conditioner(theta_dim, x_shape, **conditioner)
        self.near = near if self.conditioner.linear is not None else 0.0
        context_dim = self.conditioner.out_dim
        # Told z, as ranks too, and of a linear start what that leaves of it; zero at first.
        inputs = theta_dim * (2 + (self.conditioner.linear is not None))
        self.net = ResidualMLP(inputs, 1, hidden=hidden, blocks=blocks, context_dim=context_dim)
        start_at(self.net.last, torch.zeros(1))

    @classmethod
    def check(cls, x_shape: tuple[int, ...] | None, **options: Any) -> None:
        """Refuse what `conditioning.check_conditioner` does."""
        check_conditioner(x_shape, **options)

    @classmethod
    def choose(cls, preview: Preview, **options: Any) -> dict[str, Any]:
        """Replace what is left to be chosen from training data by the choice."""
        return choose_near_and_conditioner(preview, **options)

    def fit_scales(self, z: Tensor, x: Tensor) -> None:
        """Set what is fitted beforehand to training rows, ``(n, theta_dim)``, ``(n, *x_shape)``."""
        self.conditioner.fit_scales(z, x)

    def loss(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the contrastive loss, ``(n,)``, with alternatives of its own."""
        n, k = len(z), min(self.alternatives, len(z) - 1)
        if k < 1:
            raise ValueError("a batch of one row has nothing to be compared with")
        context = self.conditioner(x)
        candidates = torch.stack([z, *self._others(z, context, k)])  # (k + 1, n, theta_dim)
        logits = self._logits(candidates.flatten(0, 1), context.repeat(k + 1, 1)).view(k + 1, n)
        loss = contrastive_loss(logits, self.gamma)
        if self.balance:
            excess = logits[0].sigmoid().mean() + logits[1:].sigmoid().mean() - 1
            loss = loss + self.balance * excess.square()
        return loss

    def _others(self, z: Tensor, context: Tensor, k: int) -> Tensor:
        """Return k alternatives to each row, ``(k, n, theta_dim)``: z of rows before, or near x."""
        far = torch.stack([z.roll(shift, 0) for shift in range(1, k + 1)])
        if not self.near:
            return far
        noise = torch.randn(*far.shape, 1 + DEGREES, dtype=far.dtype, device=far.device)
        student = noise[..., 0] / noise[..., :1, 1:].square().mean(-1).sqrt()
        near = self.conditioner.restore(student.transpose(0, 1), context).transpose(0, 1)
        return torch.where(torch.rand_like(far[..., :1]) < self.near, near, far)

    def _logits(self, z: Tensor, context: Tensor) -> Tensor:
        """Return the log ratio of the posterior and what alternatives are drawn from, ``(n,)``."""
        log_ratio = self.log_prob_of_summary(z, context)
        if not self.near:
            return log_ratio
        dim = z.shape[1]
        squared = self.conditioner.whiten(z, context).square().sum(1)
        student = self.conditioner.log_det() - 0.5 * (DEGREES + dim) * (squared / DEGREES).log1p()
        student += math.lgamma((DEGREES + dim) / 2) - math.lgamma(DEGREES / 2)
        near = student + 0.5 * z.square().sum(1) - 0.5 * dim * math.log(DEGREES / 2)
        near += math.log(self.near)
        return log_ratio - torch.logaddexp(near, near.new_tensor(math.log1p(-self.near)))

    def log_prob(self, z: Tensor, x: Tensor) -> Tensor:
        """Return log p(x | z) / p(x) in nats, ``(n,)``, for paired rows or for one data set x."""
        return self.log_prob_of_summary(z, self.conditioner(x))

    def summarise(self, x: Tensor) -> Tensor:
        """Return the context of data sets ``(m, *x_shape)``, ``(m, context_dim)``."""
        context: Tensor = self.conditioner(x)
        return context

    def log_prob_of_summary(self, z: Tensor, summary: Tensor) -> Tensor:
        """Return the log ratio, ``(n,)``, for paired rows or for one context."""
        seen = z.clamp(-EDGE, EDGE)
        inputs = [seen, as_ranks(seen)]
        if self.conditioner.linear is None:
            learnt: Tensor = self.net(torch.cat(inputs, 1), summary)[:, 0]
            return learnt
        inputs.append(self.conditioner.whiten(seen, summary))
        learnt = self.net(torch.cat(inputs, 1), summary)[:, 0]
        return self._start(z, summary) + learnt

    def _start(self, z: Tensor, context: Tensor) -> Tensor:
        """Return the log density of the linear regression over that of the prior, ``(n,)``."""
        rest = self.conditioner.whiten(z, context)
        return 0.5 * (z.square() - rest.square()).sum(1) + self.conditioner.log_det()


def check_contrast(alternatives: int, gamma: float, near: float) -> None:
    """Refuse settings of a contrastive loss that make no sense.

    Raises:
        ValueError: They do not; says what was wanted.
    """
    if not 0 <= near < 1:
        raise ValueError(f"near is {near}; wanted a share of at least 0 and below 1")
    if alternatives < 1 or gamma <= 0:
        raise ValueError(
            f"alternatives is {alternatives} and gamma {gamma}; at least 1 and above 0 wanted"
        )


def choose_near_and_conditioner(preview: Preview, **options: Any) -> dict[str, Any]:
    """Replace what is left to be chosen from training data by the choice.

    Raises:
        ValueError: Alternatives near the answer are asked for where there can be none.
    """
    if options.setdefault("near", "auto") == "auto":
        options["near"] = choose_near(preview)
    elif options["near"] and not preview.follows:
        raise ValueError(
            f"near is {options['near']}, but alternatives of a regression are weighed against "
            "the prior, which the rows do not follow; leave near at auto"
        )
    return choose_conditioner(preview.z, preview.x, **options)


def choose_near(preview: Preview) -> float:
    """Return the share of alternatives that may be drawn from a linear regression.

    They are weighed against the prior: z must be of the whole of it, which it is not where
    simulations failed or come from elsewhere, and continuous like the regression.
    """
    discrete = any(2 * len(column.unique()) < len(preview.z) for column in preview.z.T)
    return 0.5 if preview.complete and preview.follows and not discrete else 0.0


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
