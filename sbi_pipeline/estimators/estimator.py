"""The contract of an estimator: what a method must bring, may bring, and what others rely on.

A method's file has a subclass with ``traits``, an ``__init__`` of network options, a ``loss``, and
what its traits promise: ``log_prob``, ``sample_many``, or both. All else does nothing by default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .. import registry
from ..networks.packing import packed_shape
from ..networks.trainable import Trainable
from ..networks.validity import Validity
from ..types import Traits


@dataclass(frozen=True)
class Preview:
    """What a method may look at before its network is built.

    Attributes:
        z: Training rows of the parameters in standard-normal space, ``(n, theta_dim)``; of those
            that are periodic, two numbers.
        x: Their data, ``(n, *x_shape)``.
        rows: How many there are to train on, these and others.
        complete: Whether no simulation failed, so that z is of the whole prior.
        follows: Whether rows follow the prior; those of a table may not.
        weighted: Whether rows were drawn from another density, and their losses are weighted: those
            here follow the prior.
        gaps: Whether elements of x may be missing, NaN.
        known: Known conditions of the data, in normal space as well, ``(n, known)``; None where
            there are none, or where they are elements of x.
    """

    z: Tensor
    x: Tensor
    rows: int
    complete: bool = True
    follows: bool = True
    weighted: bool = False
    gaps: bool = False
    known: Tensor | None = None

    @property
    def given(self) -> Tensor:
        """What the data are given: parameters and known conditions, ``(n, theta_dim + known)``."""
        return self.z if self.known is None else torch.cat((self.z, self.known), 1)


class Estimator(Trainable):
    """A torch module that learns from pairs ``(z, x)``; see the glossary in `types` for these.

    It is called as ``MyEstimator(theta_dim, x_shape, **options)``, the options being keyword
    arguments of its own, from ``network`` in the configuration.

    Attributes:
        traits: What others must know of it; of the class.
        spec: ``method``, ``network``, ``members``, ``theta_dim``, ``x_shape``, and
            ``conditions``, the number of known ones: what it is built again from. Set by
            `estimators.build`.
        validity: log p(valid | z), where the posterior needs it because simulations failed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spec: dict[str, Any] = {}
        self.validity: Validity | None = None

    @property
    def known_conditions(self) -> int:
        """Number of known conditions that data sets are packed with."""
        return int(self.spec.get("conditions", 0))

    @property
    def shown_shape(self) -> tuple[int, ...]:
        """Shape of one data set as it is shown: packed with known conditions, if there are any."""
        return packed_shape(self.known_conditions, tuple(self.spec["x_shape"]))

    @classmethod
    def check(cls, x_shape: tuple[int, ...] | None, **options: Any) -> None:
        """Refuse options that contradict each other, or do not suit the data.

        Args:
            x_shape: Shape of one data set; None where it is not known before simulating.
            **options: All of them; those that are not given at their defaults.

        Raises:
            ValueError: They do not; says what was wanted.
        """

    @classmethod
    def learns_prior(cls, discrete: bool) -> bool:
        """Say whether the prior of the rows is a part of what is learnt.

        The losses of rows from another density are then weighted by prior over density.

        Args:
            discrete: Whether a parameter is.
        """
        return cls.traits.target == "posterior"

    @classmethod
    def choose(cls, preview: Preview, **options: Any) -> dict[str, Any]:
        """Return the options with those left open chosen by a look at the data."""
        return options

    def fit_scales(self, z: Tensor, x: Tensor) -> None:
        """Set what is fitted beforehand to training rows, ``(n, theta_dim)``, ``(n, *x_shape)``."""

    def log_prob(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the log of what is estimated in nats, ``(n,)``, for paired rows or for one x.

        It is q(z | x), q(x | z) or the ratio, by the target.

        Raises:
            ValueError: The method has no density.
        """
        others = having(lambda traits: traits.density and traits.target == self.traits.target)
        raise ValueError(f"{type(self).__name__} has no density; take {others} for one")

    def sample(self, n: int, x: Tensor) -> Tensor:
        """Draw ``(n, theta_dim)`` in normal space for one data set, ``x_shape``."""
        return self.sample_many(n, x[None])[0]

    def sample_many(self, n: int, x: Tensor) -> Tensor:
        """Draw ``(m, n, theta_dim)`` in normal space for data sets ``(m, *x_shape)``.

        Raises:
            ValueError: What is estimated has no draws of z.
        """
        raise ValueError(
            f"{type(self).__name__} learns a {self.traits.target} and cannot draw parameters; "
            f"sample it by MCMC, or take {having(lambda traits: traits.draws)}"
        )

    def doubts(self, x: Tensor) -> list[str]:
        """Return what is to be said of data, ``(n, *x_shape)``, that no simulation is like."""
        return []

    def summarise(self, x: Tensor) -> Tensor | None:
        """Return all that ``log_prob`` sees of data sets ``(m, *x_shape)``, ``(m, elements)``.

        Of large data sets it is worked out once, and not for each row of z. None: no such thing.
        """
        return None

    def log_prob_of_summary(self, z: Tensor, summary: Tensor) -> Tensor:
        """Return ``log_prob``, ``(n,)``, for rows z and what `summarise` returned of their x.

        Raises:
            ValueError: The class has `summarise` without it.
        """
        raise ValueError(f"{type(self).__name__} has summarise, but no log_prob_of_summary")


def estimator_class(method: str) -> type[Estimator]:
    """Return the class of a method, one of `registry.ESTIMATORS` or ``"my_module:MyEstimator"``.

    Raises:
        ValueError: It cannot be found, or is no estimator.
    """
    found = registry.load_part(method, registry.ESTIMATORS)
    if not (isinstance(found, type) and issubclass(found, Estimator)):
        raise ValueError(
            f"{method!r} is no estimator; wanted a subclass of sbi_pipeline.estimators.Estimator"
        )
    if not isinstance(getattr(found, "traits", None), Traits):
        raise ValueError(
            f"{method!r} has no traits; write traits = Traits(target=...) in its class, with "
            "Traits of sbi_pipeline.types"
        )
    return found


def traits(method: str) -> Traits:
    """Return what a method is, see `estimator_class`."""
    return estimator_class(method).traits


def having(wanted: Callable[[Traits], bool]) -> str:
    """Return which methods have wanted traits, for messages: "npe or fmpe"."""
    known = {name: traits(name) for name in registry.ESTIMATORS}
    *names, last = [name for name, each in known.items() if wanted(each) and not each.composed]
    return f"{', '.join(names)} or {last}" if names else last
