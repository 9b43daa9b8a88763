"""Nuisances given all that is known: a conditional density q(eta | theta, x).

Objective: minimise ``-E log q(z_eta | z_theta, x)`` over the joint of prior and simulator, as NPE
does; the minimum is the posterior of the nuisances where the inferred parameters are known, too. Of
draws of these given x it makes draws of both. ``log_prob`` is a density in nats over the normal
space of the nuisances, where their prior given theta is N(0, I).

To training and samplers a data set is one row: theta in normal space, then x, flattened.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..networks.encoders import Embedded, Encoder, Transform, choose_encoder
from ..networks.flows import flow as build_flow
from ..networks.gapped_regression import OnFilled
from ..networks.packing import unpacked
from ..networks.regression import GaussianRegression
from ..types import Traits
from .estimator import Estimator, Preview
from .npe import choose_width

FLOW = "nsf"
MOST_INPUTS = 1000  # of a linear regression


class NuisanceNPE(Estimator):
    """Conditional flow over nuisances given the inferred parameters and x.

    Args:
        theta_dim: Number of nuisances.
        x_shape: Shape of a row, ``(known + elements of x,)``.
        known: Number of inferred parameters.
        data_shape: Shape of x.
        hidden: Width of the flow.
        transform: Function that each number of x goes through first.
        embedding: Network that summarises x.
        linear: Whether a linear regression on the inferred parameters and x comes first.
        gaps: Whether elements of x may be missing, NaN; in the regression they are then 0.
    """

    traits = Traits(target="posterior", compiles=True, gaps=True)

    def __init__(
        self,
        theta_dim: int,
        x_shape: tuple[int, ...],
        *,
        known: int,
        data_shape: Sequence[int],
        hidden: int,
        transform: Transform = "none",
        embedding: Embedded = "none",
        linear: bool = False,
        gaps: bool = False,
    ) -> None:
        super().__init__()
        self.known, self.data_shape = known, tuple(data_shape)
        self.encoder = Encoder(self.data_shape, transform=transform, embedding=embedding, gaps=gaps)
        regression = OnFilled if gaps else GaussianRegression
        self.regression = regression(x_shape[0], theta_dim) if linear else None
        context = self.encoder.out_dim + known + (theta_dim if linear else 0)
        self.flow = build_flow(FLOW, theta_dim, context, hidden=hidden)

    @classmethod
    def choose(cls, preview: Preview, **options: Any) -> dict[str, Any]:
        """Replace what is left to be chosen from training data by the choice."""
        _, x = unpacked(preview.x, options["known"], tuple(options["data_shape"]))
        chosen = choose_encoder(preview.z, x, vectors="mlp", **options)
        linear = x.ndim == 2 and preview.x.shape[1] <= min(MOST_INPUTS, len(x) // 5)
        chosen |= {"gaps": True} if preview.gaps else {}
        return {"hidden": choose_width(FLOW, preview.rows), "linear": linear, **chosen}

    def fit_scales(self, z: Tensor, x: Tensor) -> None:
        """Set scales and regression from training rows, ``(n, theta_dim)``, ``(n, *x_shape)``."""
        theta, data = self._parts(x)
        self.encoder.fit_scales(data)
        if self.regression is not None:
            self.regression.fit(self._inputs(theta, data), z)

    def loss(self, z: Tensor, x: Tensor) -> Tensor:
        """Return -log q(z | x), ``(n,)``."""
        return -self.log_prob(z, x)

    def log_prob(self, z: Tensor, x: Tensor) -> Tensor:
        """Return log q(z | x) in nats, ``(n,)``, for paired rows."""
        context, predicted = self._context(x)
        if self.regression is None:
            paired: Tensor = self.flow.log_prob(z, context)
            return paired
        rest = self.regression.whiten(z, predicted)
        log_prob: Tensor = self.flow.log_prob(rest, context)
        return log_prob + self.regression.log_det(predicted)

    @torch.no_grad()
    def sample_many(self, n: int, x: Tensor) -> Tensor:
        """Draw ``(m, n, theta_dim)`` for rows ``(m, *x_shape)``."""
        context, predicted = self._context(x)
        rest = self.flow.sample(n, context)
        if self.regression is None:
            return rest
        return self.regression.restore(rest, predicted)

    def _context(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the flow's context, ``(n, elements)``, and the linear prediction of z."""
        theta, data = self._parts(x)
        context = torch.cat([self.encoder(data), theta], 1)
        if self.regression is None:
            return context, context[:, :0]
        predicted = self.regression.predict(self._inputs(theta, data))
        return torch.cat([context, predicted], 1), predicted

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return theta in normal space, ``(n, known)``, and data, ``(n, *data_shape)``."""
        return unpacked(x, self.known, self.data_shape)

    def _inputs(self, theta: Tensor, data: Tensor) -> Tensor:
        return torch.cat([theta, self.encoder.standardised(data)], 1)
