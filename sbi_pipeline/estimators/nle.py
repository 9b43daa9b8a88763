"""Neural likelihood estimation: a conditional density q(x | z), trained on simulations.

Objective: minimise ``-E log q(x | z)``; the minimum is the likelihood with the nuisance parameters
marginalised. The prior does not enter, so it can be changed after training (within its support).
``log_prob(z, x)`` is log q(x | z) in nats per unit of x, the Jacobian of all scaling included;
MCMC on it plus the log prior draws from the posterior.

Columns of few whole values are learnt as such (`categorical.Categorical`), the others given them.
Other whole numbers are dequantised: training sees ``x + u`` with uniform ``u`` drawn anew each
time, so that ``log_prob`` approximates log P(x | z), the integral of q over ``[x, x + 1)``. At an
observation that integral is taken at its midpoint, ``x + 0.5``: the flow learns a smooth density,
whose mean over a cell differs from the midpoint in second order only, and noise in u would be
noise in the MCMC target.

Of data with missing elements it is the density of those that are there, given which these are. A
missing element is put in from N(0, 1), of which the flow, told the mask, soon knows no better, and
whose density is taken away again. Where masks say something of z, p(mask | z) is learnt as well.

References:
    Papamakarios, Sterratt & Murray, Sequential neural likelihood, AISTATS 2019,
    https://arxiv.org/abs/1805.07226.
    Theis, van den Oord & Bethge, A note on the evaluation of generative models, ICLR 2016,
    https://arxiv.org/abs/1511.01844 (dequantisation).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor

from ..networks.categorical import Categorical
from ..networks.conditioning import MOST_COLUMNS, Linear, check_columns
from ..networks.encoders import Transform, batched
from ..networks.flows import FLOWS
from ..networks.flows import flow as build_flow
from ..networks.gapped_regression import MOST_GAPPED, GappedRegression
from ..networks.masks import what_masks_tell
from ..networks.regression import GaussianRegression
from ..networks.scaling import (
    Standardise,
    as_ranks,
    choose_transform,
    constant_columns,
    is_whole,
    middled,
)
from ..networks.screening import linked_columns
from ..options import INTERNAL, Chosen, Indices, OneOf, Passes, Takes
from ..types import Traits
from .estimator import Estimator, Preview

FEW = 8  # values a column may take to be learnt as discrete


def discrete_columns(
    *,
    columns: Indices,
    levels: Annotated[int, Ge(2)],
    **categorical: Annotated[Any, Passes(Categorical, given=3)],
) -> tuple[list[int], int, dict[str, Any]]:
    """Return columns, levels and the options of the network that learns them.

    Args:
        columns: Columns that are learnt as discrete.
        levels: Number of consecutive whole values each may take, at most.
        **categorical: Options of `categorical.Categorical`.
    """
    return columns, levels, categorical


class NLE(Estimator):
    """Conditional flow over x given z.

    Args:
        theta_dim: Number of inferred parameters.
        x_shape: Shape of one data set; the flow is over its flattened elements, the columns.
        flow: Family of the density of the data.
        transform: Function that each number of x goes through first; ``auto``: by the training
            rows.
        dequantise: Whether x holds whole numbers; ``auto``: where its type is an integer.
        columns: Numbers of x that are used, counted from 0; ``auto``: those that vary and that
            something links with the parameters; ``all``: those that vary.
        linear: Whether the flow is over what a linear regression of x on the parameters leaves;
            ``auto``: unless x has very many numbers.
        discrete: Numbers of x, ``columns``, of which probabilities are learnt: each takes at most
            ``levels`` consecutive whole values; further options are those of the network that
            learns them; ``auto``: those of at most 8 values where x has an integer type.
        gaps: Whether elements of x may be missing, NaN.
        masks: Numbers of x of which it is learnt with what probability they are missing, where that
            says something of the parameters.
        **flow_options: Keyword arguments of that flow.
    """

    traits = Traits(target="likelihood", compiles=True, gaps=True)  # many small operations

    def __init__(
        self,
        theta_dim: int,
        x_shape: tuple[int, ...],
        *,
        flow: Annotated[str, OneOf(FLOWS)] = "nsf_ar",
        transform: Transform = "none",
        dequantise: Annotated[bool, Chosen()] = False,
        columns: Annotated[Indices, Chosen(("auto", "all"))],
        discrete: Annotated[Mapping[str, Any] | None, Chosen(), Takes(discrete_columns)] = None,
        linear: Linear = False,
        gaps: Annotated[bool, INTERNAL] = False,
        masks: Annotated[Sequence[int] | None, INTERNAL] = None,
        **flow_options: Annotated[Any, Passes(FLOWS, by="flow", given=2)],
    ) -> None:
        super().__init__()
        self.discrete, levels, few = discrete_columns(**discrete) if discrete else ([], 1, {})
        self.x_shape, self.dequantise = x_shape, dequantise
        self.columns = [i for i in columns if i not in self.discrete]
        self.gaps, self.masked = gaps, list(masks or [])
        context_dim = 2 * theta_dim + len(self.discrete)  # z, its ranks, discrete columns
        self.categorical = (
            Categorical(len(self.discrete), levels, theta_dim, **few) if self.discrete else None
        )
        self.masks = Categorical(len(self.masked), 2, theta_dim) if self.masked else None
        self.standardise = Standardise((len(self.columns),), transform)
        many = len(self.columns)
        self.linear = GaussianRegression(context_dim, many) if linear and not gaps else None
        self.gapped = GappedRegression(many, context_dim) if linear and gaps else None
        context_dim += many if gaps else 0  # the mask
        self.flow = build_flow(flow, many, context_dim, **flow_options) if many else None

    @classmethod
    def check(cls, x_shape: tuple[int, ...] | None, **options: Any) -> None:
        """Refuse columns that data do not have."""
        columns, discrete = options["columns"], options["discrete"]
        if x_shape is None:
            return
        if isinstance(columns, list):
            check_columns((math.prod(x_shape),), columns)
        if isinstance(discrete, Mapping) and discrete["columns"]:
            check_columns((math.prod(x_shape),), discrete["columns"])

    @classmethod
    def choose(cls, preview: Preview, **options: Any) -> dict[str, Any]:
        """Replace what is left to be chosen from training data by the choice."""
        z, x = preview.z, preview.x
        options["columns"] = choose_columns(z, x, options.get("columns", "auto"))
        if preview.gaps:
            masks = choose_masks(z, x.flatten(1).isnan())
            options |= {"gaps": True, "masks": masks, "discrete": None}
        if options.setdefault("discrete", "auto") == "auto":
            options["discrete"] = choose_discrete(x, options["columns"])
        few = (options["discrete"] or {"columns": []})["columns"]
        flowing = x.flatten(1)[:, [i for i in options["columns"] if i not in few]]
        if options.setdefault("transform", "auto") == "auto":
            options["transform"] = choose_transform(flowing) if flowing.shape[1] else "none"
        if options.setdefault("dequantise", "auto") == "auto":
            options["dequantise"] = is_whole(x)
        if options.setdefault("linear", "auto") == "auto":
            most = MOST_GAPPED if preview.gaps else MOST_COLUMNS
            options["linear"] = 0 < flowing.shape[1] <= most
        return options

    def _parts(self, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return discrete columns, the others, and what the others are given, n rows each."""
        x = batched(x, self.x_shape).flatten(1).expand(len(z), -1)
        few = x[:, self.discrete]
        return few, x[:, self.columns], torch.cat((z, as_ranks(z), few.to(z)), 1)

    def fit_scales(self, z: Tensor, x: Tensor) -> None:
        """Set what is fitted beforehand to training rows, ``(n, theta_dim)``, ``(n, *x_shape)``."""
        few, many, given = self._parts(z, x)
        if self.categorical is not None:
            self.categorical.fit(few)
        if self.columns:
            self.standardise.fit(many + 0.5 * self.dequantise)
        if self.gapped is not None:
            self.gapped.fit(self.standardise(many + 0.5 * self.dequantise), given)
        if self.linear is not None:
            self.linear.fit(given, self.standardise(many + 0.5 * self.dequantise))
        if self.masks is not None:
            self.masks.fit(self._missing(z, x))

    def loss(self, z: Tensor, x: Tensor) -> Tensor:
        """Return -log q(x | z), ``(n,)``, with noise of its own where x is dequantised."""
        few, many, given = self._parts(z, x)
        seen = many + torch.rand_like(many) * self.dequantise
        if self.gaps:
            filling = torch.randn_like(seen).to(z)
            return -self._log_prob_there(z, seen, given, filling) - self._log_masks(z, x)
        return -self._log_prob(few, seen, given)

    def log_prob(self, z: Tensor, x: Tensor) -> Tensor:
        """Return log q(x | z) in nats, ``(n,)``, for paired rows or for one data set x."""
        few, many, given = self._parts(z, x)
        seen = many + 0.5 * self.dequantise
        if self.gaps:
            filling = torch.zeros_like(seen).to(z)
            return self._log_prob_there(z, seen, given, filling) + self._log_masks(z, x)
        return self._log_prob(few, seen, given)

    def _log_prob_there(self, z: Tensor, x: Tensor, given: Tensor, filling: Tensor) -> Tensor:
        """Return the log density of what is there, ``(n,)``.

        Args:
            z: ``(n, theta_dim)``.
            x: The columns, NaN where they are missing.
            given: What the flow is given, but for the mask.
            filling: What takes the place of missing elements, ``(n, columns)``.
        """
        missing = x.isnan()
        log_prob = self.standardise.log_det(x)
        y = self.standardise(x)
        if self.gapped is not None:
            y, log_det = self.gapped.residual(y, given, filling)
            log_prob = log_prob + log_det
        else:
            y = torch.where(missing, filling, y)
        assert self.flow is not None
        log_prob = log_prob + self.flow.log_prob(y, torch.cat((given, missing.to(z)), 1))
        neutral = 0.5 * (filling.square() + math.log(2 * math.pi))
        return log_prob + (missing * neutral).sum(1)

    def _log_masks(self, z: Tensor, x: Tensor) -> Tensor | float:
        """Return log p(mask | z), ``(n,)``; 0 where it says nothing of z."""
        return 0.0 if self.masks is None else self.masks.log_prob(self._missing(z, x), z)

    def _missing(self, z: Tensor, x: Tensor) -> Tensor:
        """Return 1 for those of `masked` that are missing and 0 for the others, as floats."""
        x = batched(x, self.x_shape).flatten(1)[:, self.masked]
        return x.isnan().to(z).expand(len(z), -1)

    def _log_prob(self, few: Tensor, many: Tensor, given: Tensor) -> Tensor:
        log_prob = given.new_zeros(len(given))
        if self.categorical is not None:
            z = given[:, : (given.shape[1] - len(self.discrete)) // 2]
            log_prob = log_prob + self.categorical.log_prob(few, z)
        if self.flow is not None:
            y = self.standardise(many)
            log_prob = log_prob + self.standardise.log_det(many)
            if self.linear is not None:
                y = self.linear.residual(y, given)
                log_prob = log_prob + self.linear.log_det()
            log_prob = log_prob + self.flow.log_prob(y, given)
        return log_prob


def choose_columns(z: Tensor, x: Tensor, wanted: str | list[int]) -> list[int]:
    """Return the columns to learn of, out of those that vary.

    Raises:
        ValueError: None varies.
    """
    varying: list[int] = (~constant_columns(x)).flatten().nonzero()[:, 0].tolist()
    if not varying:
        raise ValueError("x is the same in every training row: there is no likelihood to learn")
    if wanted == "auto" and x.ndim == 2:
        return [varying[i] for i in linked_columns(z, middled(x[:, varying]))]
    return varying if wanted in ("all", "auto") else [i for i in wanted if i in varying]


def choose_masks(z: Tensor, missing: Tensor) -> list[int] | None:
    """Return the columns of x whose masks vary, if masks say something of z."""
    if not what_masks_tell(z, missing).is_certain:
        return None
    varying: list[int] = (missing != missing[:1]).any(0).nonzero()[:, 0].tolist()
    return varying


def choose_discrete(x: Tensor, columns: list[int]) -> dict[str, Any] | None:
    """Return the columns that take at most `FEW` consecutive whole values, and how many."""
    if x.is_floating_point():
        return None
    values = x.flatten(1)
    spans = (values.amax(0) - values.amin(0) + 1).tolist()
    few = [i for i in columns if spans[i] <= FEW]
    return {"columns": few, "levels": int(max(spans[i] for i in few))} if few else None
