"""Protocols and the glossary of shapes: what the parts of the house agree on.

Words, the same everywhere:

* ``parameters``: everything a simulator takes, inferred and nuisance alike,
  ``(n, n_parameters)``, columns in the order of ``Simulator.parameters``.
* ``theta``: the inferred parameters, ``(n, theta_dim)``, in the order of the configuration.
* ``eta``: the nuisance parameters; estimators never see them.
* ``known``: known conditions, ``(n, known)``: parameters whose values come with every data set.
* ``x``: simulated data, ``(n, *x_shape)``; ``x_o``: one observation, ``x_shape``.
* ``z``: theta in the prior's standard-normal space, ``(n, theta_dim)``: what estimators are
  trained on. Bounds are exact there, and the prior is N(0, I).
* ``draws``: samples of a posterior; ``walkers``: the points of an emcee ensemble.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Target = Literal["posterior", "likelihood", "ratio"]


class Outcome(IntEnum):
    """What became of one simulation; stored as a byte beside ``x``."""

    OK = 0
    NAN = 1
    RAISED = 2
    WRONG_SHAPE = 3
    CRASHED = 4
    TIMED_OUT = 5

    @property
    def label(self) -> str:
        """The name in reports and records, such as ``"timed out"``."""
        return self.name.lower().replace("_", " ")


class StopCampaign(Exception):  # noqa: N818 - an order, not an error
    """Raised by a simulator that cannot go on with any row: the campaign stops with its text."""


@runtime_checkable
class Prior(Protocol):
    """A joint distribution of named parameters that can be sampled by inverse CDF."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""

    def from_uniform(self, u: Array) -> Array:
        """Map uniforms in [0, 1), ``(n, dim)``, to parameters, ``(n, dim)``."""

    def from_normal(self, z: Array) -> Array:
        """Map standard-normal space, ``(n, dim)``, to parameters, ``(n, dim)``."""

    def to_normal(self, parameters: Array) -> Array:
        """Map parameters, ``(n, dim)``, to standard-normal space; inverse of `from_normal`."""

    def log_prob(self, parameters: Array) -> Array:
        """Log density in nats, ``(n,)``; -inf outside the support."""

    def keep(self, names: tuple[str, ...]) -> Prior:
        """Return the marginal prior of the named parameters, in the order given.

        Rounds want it to leave their normal deviates as they are.
        """

    def complete(self, known: Mapping[str, Array], u: Array) -> Array:
        """Draw the parameters not in ``known`` given those that are.

        Args:
            known: Values of some parameters by name, each ``(n,)``.
            u: Uniforms, ``(n, dim)``, one column per parameter; those of known ones go unused.

        Returns:
            All parameters, ``(n, dim)``.
        """


@runtime_checkable
class Simulator(Protocol):
    """Draws data for parameters; the only thing a user has to write.

    A class may say ``vectorised = False``: it is then called with one row, ``(n_parameters,)``, and
    returns one data set, ``x_shape``. Otherwise it gets ``(n, n_parameters)`` and returns
    ``(n, *x_shape)``. All randomness must come from ``rng``. It is constructed with the
    ``options`` of the configuration; construction must be cheap.

    One that says ``noise_at_load = True``, in its class or by an option, returns data without
    the last, cheap part of their noise, and has ``observe(x, rng)``, which takes data as the call
    returns them, of one or many rows, and returns them with that noise. See `noise`.

    One that says ``x_shape``, the shape of one data set with all its noise, has observations and
    networks held against it before anything is simulated. One that says ``columns``, the names of
    the last axis of its data, has those of files of observations picked and put in this order.
    """

    parameters: tuple[str, ...]

    def __call__(self, parameters: Array, rng: np.random.Generator) -> Array:
        """Simulate data for parameters."""


def is_vectorised(simulator: Simulator) -> bool | None:
    """Say whether a simulator takes many rows at once: it does, unless its class says otherwise.

    Of a function that does not say it is None: `campaigns.functions.takes_many` knows.
    """
    said = getattr(simulator, "vectorised", True)
    return None if said is None else bool(said)


def declared_shape(simulator: Simulator) -> tuple[int, ...] | None:
    """Return the shape of one data set, if the simulator says it.

    Raises:
        ValueError: What it says is no shape.
    """
    said = getattr(simulator, "x_shape", None)
    if said is None:
        return None
    if not (isinstance(said, tuple | list) and all(isinstance(each, int) for each in said)):
        name = type(simulator).__name__
        raise ValueError(f"{name} says x_shape = {said!r}; wanted a tuple of whole numbers")
    return tuple(said)


def declared_columns(simulator: Simulator) -> tuple[str, ...]:
    """Return what a simulator calls the columns of its data, the last axis; empty for nothing.

    Raises:
        ValueError: What it says are no names, or one is there twice.
    """
    said = getattr(simulator, "columns", ())
    names = isinstance(said, tuple | list) and all(isinstance(each, str) for each in said)
    if not names or len(set(said)) != len(said):
        name = type(simulator).__name__
        raise ValueError(f"{name} says columns = {said!r}; wanted a tuple of names that differ")
    return tuple(said)


@dataclass(frozen=True)
class Traits:
    """What an estimator is, as far as others must know to use it.

    Attributes:
        target: What ``log_prob(z, x)`` is of: q(z | x), q(x | z), or p(x | z) / p(x).
        conditions: Whether it is told of known conditions apart: it takes their number, ``known``,
            and data sets packed with them (`networks.packing`). To others they are elements of a
            vector x.
        density: Whether ``log_prob`` works; a method without it has draws only.
        joint: Whether the parameters are learnt together; else draws and density are those of the
            product of the margins.
        loss_judges: Whether the loss says how good the estimator is. Where it does not, training
            goes to its end and keeps the last weights, and no settings are compared by it.
        stops_early: Whether training may end before its last epoch, when the held-out loss falls
            no more. Where it may not, the weights of the best epoch are kept all the same.
        steps: Whether ``sample_many(n, x, steps)`` takes the number of steps draws are made in.
        learning_rate: Peak of the learning rate, where the user gives none.
        effort: Epochs over those of other methods, where the user gives none.
        compiles: Whether long trainings are worth compiling.
        circles: Whether it takes ``periodic``, the columns of z that are of periodic parameters.
        gaps: Whether elements of x may be missing, NaN.
        composed: Whether it is mixed of others, each trained by itself, see `choosing`.
    """

    target: Target
    conditions: bool = False
    density: bool = True
    joint: bool = True
    loss_judges: bool = True
    stops_early: bool = True
    steps: bool = False
    learning_rate: float = 3e-3
    effort: float = 1.0
    compiles: bool = False
    circles: bool = False
    gaps: bool = False
    composed: bool = False

    @property
    def draws(self) -> bool:
        """Whether ``sample_many`` works: draws are those of a posterior."""
        return self.target == "posterior"

    @property
    def turns(self) -> bool:
        """Whether circles are cut anew for each data set, see `estimators.turned`."""
        return self.draws and self.joint and not self.circles

    @property
    def proposes(self) -> bool:
        """Whether draws come with their density: MCMC proposes from such, weights need such."""
        return self.draws and self.density and self.joint
