"""What simulates and from where: a simulator, its options, its parameters and their priors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import registry
from .fingerprint import canonical
from .types import Prior, Simulator, is_vectorised


@dataclass(frozen=True)
class Model:
    """A simulator and the prior of all it takes, as the values of a configuration.

    Attributes:
        simulator: Name in the registry or ``"module:Class"``.
        options: Keyword arguments of the simulator.
        parameters: Everything the simulator takes, in its order.
        priors: Entries by parameter or pattern, or ``"module:Prior"``; see `priors.build`.

    Raises:
        ValueError: The options cannot be written down as JSON.
    """

    simulator: str
    options: Mapping[str, Any]
    parameters: tuple[str, ...]
    priors: Mapping[str, Mapping[str, Any]] | str

    def __post_init__(self) -> None:
        canonical(self.options)  # says what is wrong with options that cannot be written down
        object.__setattr__(self, "parameters", tuple(self.parameters))  # JSON has lists

    def build_simulator(self) -> Simulator:
        """Return the simulator with its options; `build_simulator` says what can go wrong."""
        return build_simulator(self.simulator, self.options)

    def build_prior(self) -> Prior:
        """Return the joint prior of all parameters; `priors.build` says what can go wrong."""
        from . import priors  # noqa: PLC0415 - scipy.stats takes a second, and workers draw nothing

        return priors.build(self.priors, self.parameters)

    @property
    def is_vectorised(self) -> bool:
        """Whether the simulator takes many rows at once."""
        return is_vectorised(self.build_simulator())


def build_simulator(name: str, options: Mapping[str, Any]) -> Simulator:
    """Return the simulator of a name with its options.

    Args:
        name: In the registry, or ``"module:Class"``.
        options: Keyword arguments of its constructor.

    Raises:
        ValueError: It is not known, or does not take the options.
    """
    make = registry.load_part(name, registry.SIMULATORS)
    try:
        simulator: Simulator = make(**options)
    except Exception as error:
        raise ValueError(
            f"{name} with options {dict(options)!r}: {describe_error(error)}; "
            "options are the keyword arguments of its constructor"
        ) from error
    return simulator


def describe_error(error: BaseException) -> str:
    """Return what a simulator raised in one line, not too long."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]
