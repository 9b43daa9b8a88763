"""Which model made the data? A classifier of rows of several campaigns, learnt by cross-entropy.

Objective: minimise ``-E log q(k | x)`` over data x and the models k that made them; the minimum is
p(k | x) for models that are as frequent as among the rows, so that

    log p(x | k) - log p(x | j) = log q(k | x) / f_k - log q(j | x) / f_j

with the frequencies f. Nuisances and parameters are marginalised, since it never sees them.

Members come in pairs, each of a pair trained on one half of the rows, halves drawn anew for each
pair. Members differ as estimates from as many other rows would, by twice the variance of one from
all rows: half the difference of a pair estimates the error of their mean (balanced half-samples;
what initial weights add makes it a little too large).

Of data of few numbers each member knows the log density of a normal distribution for each model,
fitted to its half: exact for normal data, and elsewhere one more thing that the network is told.

References:
    Radev et al., Amortized Bayesian model comparison with evidential deep learning, IEEE TNNLS
    2021, https://arxiv.org/abs/2004.10629.
    Jeffrey & Wandelt, Evidence networks: simple losses for fast, amortized, neural Bayesian model
    comparison, MLST 2024, https://arxiv.org/abs/2305.11241.
    McCarthy, Pseudoreplication: half samples, Rev. ISI 37, 1969,
    https://doi.org/10.2307/1402116.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.nn import functional

from ..networks.conditioning import Conditioner, check_conditioner, choose_conditioner
from ..networks.residual import ResidualMLP, start_at
from ..options import Chosen, Depth, Passes, Width
from ..types import Traits
from .estimator import Estimator, Preview

ROWS_A_NUMBER = 10
"""Rows of a model for each number that its normal distribution has."""
FEW = 500
"""Elements of data of which many members are cheap."""
Pairs = Annotated[int, Ge(3), Le(12), Chosen()]


class Classifier(Estimator):
    """Pairs of residual networks of x whose outputs are logits of the models.

    A row's "parameters" are its model as ones and zeros, then a number in [0, 1), drawn for the
    row, whose binary digits say which member of each pair learns from it.

    Args:
        theta_dim: Number of models and one.
        x_shape: Shape of one data set.
        pairs: Pairs of networks, each trained on complementary halves of the rows; their scatter
            is the error that is stated. ``auto``: 5, or 3 of data with more than 500 numbers.
        hidden: Width of the networks.
        blocks: Number of residual blocks.
        normal: Whether a normal distribution is fitted to the data of each model first; ``auto``:
            where data have few numbers, and that tells held-out rows apart.
        **conditioner: Options of `conditioning.Conditioner`; ``"auto"`` looks at the data, and all
            columns are used.
    """

    traits = Traits(target="posterior", conditions=True, learning_rate=1e-3, gaps=True)

    def __init__(
        self,
        theta_dim: int,
        x_shape: tuple[int, ...],
        *,
        pairs: Pairs = 5,
        hidden: Width = 128,
        blocks: Depth = 2,
        normal: Annotated[bool, Chosen()] = False,
        **conditioner: Annotated[Any, Passes(Conditioner, given=2)],
    ) -> None:
        super().__init__()
        self.models, self.pairs = theta_dim - 1, pairs
        self.members = nn.ModuleList(
            ClassifierMember(
                self.models, x_shape, hidden=hidden, blocks=blocks, normal=normal, **conditioner
            )
            for _ in range(2 * pairs)
        )

    @classmethod
    def check(cls, x_shape: tuple[int, ...] | None, **options: Any) -> None:
        """Refuse what `conditioning.check_conditioner` does."""
        check_conditioner(x_shape, **options)

    @classmethod
    def choose(cls, preview: Preview, **options: Any) -> dict[str, Any]:
        """Replace what is left to be chosen from training data by the choice.

        All columns stay: screening looks for what shifts with the model, and a model may differ
        from another in its scatter alone.
        """
        own = preview.z[:, :-1]
        for name, usual in (("columns", "all"), ("linear", False), ("summaries", None)):
            if options.get(name, "auto") == "auto":
                options[name] = usual
        options = choose_conditioner(own, preview.x, gaps=preview.gaps, **options)
        if options.setdefault("pairs", "auto") == "auto":
            options["pairs"] = 5 if math.prod(preview.x.shape[1:]) <= FEW else 3
        if options.setdefault("normal", "auto") == "auto":
            options["normal"] = _pays(own, preview, options)
        return options

    def fit_scales(self, z: Tensor, x: Tensor) -> None:
        """Set scales and normal distributions from rows, each member's from its own half."""
        own = z[:, :-1]
        for place, member in enumerate(self._members):
            member.conditioner.fit_scales(own, x)
            if member.normals is not None:
                rows = self._half(z, place)
                member.normals.fit(own[rows], member.elements(x[rows]))

    def loss(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the cross-entropy, ``(n,)``: of members on their halves, or of their mean."""
        own = z[:, :-1]
        if not self.training:
            return -(own * self.logits(x).mean(0).log_softmax(1)).sum(1)
        losses = z.new_zeros(len(z))
        for place, member in enumerate(self._members):
            rows = self._half(z, place)
            told = member(x[rows]).log_softmax(1)
            losses = losses.index_add(0, rows, -(own[rows] * told).sum(1))
        return losses / self.pairs

    def logits(self, x: Tensor) -> Tensor:
        """Return what members say of data ``(n, *x_shape)``: ``(members, n, models)``.

        They come in pairs, one after the other, and have the mean 0 over models.
        """
        told = torch.stack([member(x) for member in self._members])
        return told - told.mean(-1, keepdim=True)

    def logits_of_others(self, z: Tensor, x: Tensor) -> Tensor:
        """Return what members that did not learn from rows say of them, on average.

        Args:
            z: The "parameters" of rows, ``(n, models + 1)``.
            x: Their data, ``(n, *x_shape)``.

        Returns:
            Logits, ``(n, models)``.
        """
        told = self.logits(x)
        for place in range(len(told)):
            told[place, self._half(z, place)] = 0
        return told.sum(0) / self.pairs

    def context(self, x: Tensor) -> Tensor:
        """Return what the first member is told of data ``(n, *x_shape)``: ``(n, features)``."""
        told: Tensor = self._members[0].conditioner(x)
        return told

    def log_prob(self, z: Tensor, x: Tensor) -> Tensor:
        """Return log q(k | x) in nats, ``(n,)``, of the models of rows."""
        return (z[:, :-1] * self.logits(x).mean(0).log_softmax(1)).sum(1)

    def doubts(self, x: Tensor) -> list[str]:
        """Say what of data is beyond the limits of training rows, see `scaling`."""
        return self._members[0].conditioner.doubts(x)

    @property
    def _members(self) -> list[ClassifierMember]:
        members: Any = list(self.members)
        return members

    def _half(self, z: Tensor, place: int) -> Tensor:
        """Return the places of the rows that a member learns from."""
        digit = (z[:, -1] * 2 ** (place // 2 + 1)).floor().long() % 2
        return (digit == place % 2).nonzero()[:, 0]


class ClassifierMember(nn.Module):
    """A residual network of data; of few numbers beside normal distributions of each model.

    Args:
        models: How many there are.
        x_shape: Shape of one data set.
        hidden: Width of the network.
        blocks: Number of residual blocks.
        normal: Whether there are normal distributions.
        **conditioner: Options of `conditioning.Conditioner`.
    """

    def __init__(
        self,
        models: int,
        x_shape: tuple[int, ...],
        *,
        hidden: int,
        blocks: int,
        normal: bool,
        **conditioner: Any,
    ) -> None:
        super().__init__()
        self.conditioner = Conditioner(models, x_shape, **conditioner)
        self.normals: ModelNormals | None = None
        self.gain: nn.Parameter | None = None
        if normal:
            self.normals = ModelNormals(models, elements_of(self.conditioner))
            self.gain = nn.Parameter(torch.ones(()))
        self.net = ResidualMLP(
            models if normal else 0,
            models,
            hidden=hidden,
            blocks=blocks,
            context_dim=self.conditioner.out_dim,
        )
        start_at(self.net.last, torch.zeros(1))

    def elements(self, x: Tensor) -> Tensor:
        """Return known conditions and the standardised elements of data, ``(n, elements)``."""
        return self.conditioner.inputs(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, ``(n, models)``, for data ``(n, *x_shape)``."""
        context = self.conditioner(x)
        if self.normals is None:
            none: Tensor = self.net(context[:, :0], context)
            return none
        told = self.normals(self.elements(x))
        learnt: Tensor = self.net(told.asinh(), context)
        return self.gain * told + learnt


class ModelNormals(nn.Module):
    """A normal distribution of the data of each model, and how frequent the model is.

    Args:
        models: How many.
        elements: Numbers of a data set.
    """

    means: Tensor
    whitening: Tensor
    constants: Tensor

    def __init__(self, models: int, elements: int) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(models, elements))
        self.register_buffer("whitening", torch.eye(elements).repeat(models, 1, 1))
        self.register_buffer("constants", torch.zeros(models))

    def fit(self, own: Tensor, x: Tensor) -> None:
        """Fit them to elements ``(n, elements)`` of rows whose models are ``(n, models)``."""
        for k in range(own.shape[1]):
            rows = x[own[:, k] > 0.5].double()
            mean = rows.mean(0)
            apart = rows - mean
            covariance = apart.T @ apart / len(rows)
            # Elements that never vary within a model, or are sums of others, tell nothing here.
            unit = torch.eye(len(mean), dtype=torch.double)
            covariance += 1e-6 * unit
            factor = torch.linalg.cholesky(covariance)
            white = torch.linalg.solve_triangular(factor, unit, upper=False)
            self.means[k], self.whitening[k] = mean, white
            self.constants[k] = math.log(len(rows) / len(x)) - factor.diagonal().log().sum()

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, ``(n, models)``, with the mean 0, for elements ``(n, elements)``."""
        apart = x[:, None] - self.means
        white = torch.einsum("kij,nkj->nki", self.whitening, apart)
        told = self.constants - 0.5 * white.square().sum(-1)
        return told - told.mean(-1, keepdim=True)


def elements_of(conditioner: Conditioner) -> int:
    """Return how many numbers `Conditioner.inputs` has of a data set."""
    shape = conditioner.x_shape if conditioner.columns is None else (len(conditioner.columns),)
    return math.prod(shape) + 2 * conditioner.known


def _pays(own: Tensor, preview: Preview, options: dict[str, Any]) -> bool:
    """Say whether normal distributions of each model tell held-out rows apart."""
    plain = preview.x.ndim == 2 and options.get("embedding") in ("none", "mlp") and not preview.gaps
    if not plain or options.get("summaries") is not None:
        return False
    elements, rows = preview.x.shape[1], int(own.sum(0).min())
    if elements * (elements + 3) / 2 > rows / 2 / ROWS_A_NUMBER:
        return False
    told = {key: each for key, each in options.items() if key not in OWN}
    conditioner = Conditioner(own.shape[1], tuple(preview.x.shape[1:]), **told)
    conditioner.fit_scales(own, preview.x)
    x = conditioner.inputs(preview.x)
    normals, fitted = ModelNormals(own.shape[1], x.shape[1]), preview.z[:, -1] < 0.5
    normals.fit(own[fitted], x[fitted])
    held_out, logits = own[~fitted], normals(x[~fitted])
    frequent = own[fitted].mean(0).clamp(min=1e-9).log().expand_as(logits)
    entropy, chance = (functional.cross_entropy(each, held_out) for each in (logits, frequent))
    return bool(entropy < chance)


OWN = ("pairs", "hidden", "blocks", "normal")
"""Options of the classifier that are not of its conditioner."""
