"""Neural likelihood estimation: a conditional density q(x | z), trained on simulations.

Objective: minimise ``-E log q(x | z)``; the minimum is the likelihood with the nuisance parameters
marginalised. The prior does not enter, so it can be changed after training (within its support).
``log_prob(z, x)`` is log q(x | z) in nats per unit of x, the Jacobian of all scaling included;
MCMC on it plus the log prior draws from the posterior.

Whole numbers are dequantised: training sees ``x + u`` with uniform ``u`` drawn anew each time, so
that ``log_prob`` approximates log P(x | z), the integral of q over ``[x, x + 1)``. At an
observation that integral is taken at its midpoint, ``x + 0.5``: the flow learns a smooth density,
whose mean over a cell differs from the midpoint in second order only, and noise in u would be
noise in the MCMC target.

References:
    Papamakarios, Sterratt & Murray, Sequential neural likelihood, AISTATS 2019,
    https://arxiv.org/abs/1805.07226.
    Theis, van den Oord & Bethge, A note on the evaluation of generative models, ICLR 2016,
    https://arxiv.org/abs/1511.01844 (dequantisation).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..networks import batched
from ..networks import flow as build_flow
from ..scaling import Standardise, choose_transform, constant_columns
from ..types import Target


class NLE(nn.Module):
    """Conditional flow over x given z.

    Args:
        theta_dim: Number of inferred parameters.
        x_shape: Shape of one data set; the flow is over its flattened elements, the columns.
        flow: A name of `networks.FLOWS`.
        transform: A name of `scaling.TRANSFORMS`, applied to x; ``"auto"`` looks at the training
            data.
        dequantise: Whether x holds whole numbers; ``"auto"``: its type is an integer.
        columns: Columns that vary; the others say nothing of z and are left out.
        **flow_options: Keyword arguments of that flow.
    """

    target: ClassVar[Target] = "likelihood"
    gains_by_compiling: ClassVar[bool] = True  # many small operations

    def __init__(
        self,
        theta_dim: int,
        x_shape: tuple[int, ...],
        *,
        flow: str = "nsf_ar",
        transform: str = "none",
        dequantise: bool = False,
        columns: list[int],
        **flow_options: Any,
    ) -> None:
        super().__init__()
        self.x_shape, self.dequantise, self.columns = x_shape, dequantise, columns
        self.standardise = Standardise((len(columns),), transform)
        self.flow = build_flow(flow, len(columns), theta_dim, **flow_options)

    @classmethod
    def choose(cls, z: Tensor, x: Tensor, **options: Any) -> dict[str, Any]:
        """Replace what is left to be chosen from training data by the choice."""
        if options.setdefault("transform", "auto") == "auto":
            options["transform"] = choose_transform(x)
        if options.setdefault("dequantise", "auto") == "auto":
            options["dequantise"] = not x.is_floating_point()
        varies = ~constant_columns(x).flatten()
        if not varies.any():
            raise ValueError("x is the same in every training row: there is no likelihood to learn")
        options["columns"] = varies.nonzero()[:, 0].tolist()
        return options

    def _varying(self, x: Tensor) -> Tensor:
        return batched(x, self.x_shape).flatten(1)[:, self.columns]

    def fit_scales(self, x: Tensor) -> None:
        """Set what standardises data from training rows, ``(n, *x_shape)``."""
        self.standardise.fit(self._varying(x) + 0.5 * self.dequantise)

    def loss(self, z: Tensor, x: Tensor) -> Tensor:
        """Return -log q(x | z), ``(n,)``, with noise of its own where x is dequantised."""
        x = self._varying(x)
        return -self._log_prob(z, x + torch.rand_like(x) if self.dequantise else x)

    def log_prob(self, z: Tensor, x: Tensor) -> Tensor:
        """Return log q(x | z) in nats, ``(n,)``, for paired rows or for one data set x."""
        return self._log_prob(z, self._varying(x) + 0.5 * self.dequantise)

    def _log_prob(self, z: Tensor, x: Tensor) -> Tensor:
        y = self.standardise(x).expand(len(z), -1)
        log_prob: Tensor = self.flow.log_prob(y, z) + self.standardise.log_det(x)
        return log_prob

    def sample(self, n: int, x: Tensor) -> Tensor:
        """Refuse: a likelihood has no draws of z of its own."""
        raise ValueError("nle learns a likelihood and cannot draw parameters; sample it by MCMC")
