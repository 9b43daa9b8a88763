"""What simulates and from where: a simulator, its options, its parameters and their priors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import registry
from .fingerprint import canonical
from .simulators.function import PlainFunction, check_call
from .types import Prior, Simulator


@dataclass(frozen=True)
class Model:
    """A simulator and the prior of all it takes, as the values of a configuration.

    Attributes:
        simulator: Name in the registry, ``"module:Class"`` or ``"module:function"``.
        options: Keyword arguments of the simulator.
        parameters: Everything the simulator takes, in its order.
        priors: Entries by parameter or pattern, or ``"module:Prior"``; see `priors.build`.
        gaps: Whether NaN in its data stands for an element that is missing, and is no failure.

    Raises:
        ValueError: The options cannot be written down as JSON.
    """

    simulator: str
    options: Mapping[str, Any]
    parameters: tuple[str, ...]
    priors: Mapping[str, Mapping[str, Any]] | str
    gaps: bool = False

    def __post_init__(self) -> None:
        canonical(self.options)  # says what is wrong with options that cannot be written down
        object.__setattr__(self, "parameters", tuple(self.parameters))  # JSON has lists

    def build_simulator(self) -> Simulator:
        """Return the simulator with its options; `build_simulator` says what can go wrong."""
        return build_simulator(self.simulator, self.options, lambda: self.parameters)

    def build_prior(self) -> Prior:
        """Return the joint prior of all parameters; `priors.build` says what can go wrong."""
        from . import priors  # noqa: PLC0415 - scipy.stats takes a second, and workers draw nothing

        return priors.build(self.priors, self.parameters)


def build_simulator(
    name: str, options: Mapping[str, Any], parameters: Callable[[], tuple[str, ...]] = tuple
) -> Simulator:
    """Return the simulator of a name with its options.

    Args:
        name: In the registry, ``"module:Class"``, or ``"module:function"``.
        options: Keyword arguments of the constructor of a class, of every call of a function.
        parameters: Returns the names that a function takes, since it says none.

    Raises:
        ValueError: It is not known, or does not take the options.
    """
    found = registry.load_part(name, registry.SIMULATORS)
    try:
        simulator = make_simulator(found, options)
    except Exception as error:
        what = "its constructor" if inspect.isclass(found) else "its call"
        raise ValueError(
            f"{name} with options {dict(options)!r}: {describe_error(error)}; "
            f"options are the keyword arguments of {what}"
        ) from error
    if isinstance(simulator, PlainFunction):
        simulator.parameters = parameters()
    return simulator


def make_simulator(found: Any, options: Mapping[str, Any]) -> Simulator:
    """Return the simulator that something is or makes: a class, its instance, or a function.

    An object that names its ``parameters`` is a simulator as it stands. What else is called is a
    function, which knows no names of parameters yet.

    Raises:
        Exception: Whatever a class raises.
        TypeError: A function or object does not take the options.
    """
    is_class = inspect.isclass(found)
    simulator: Simulator = found(**options) if is_class else found
    if is_class:
        return simulator
    if not hasattr(found, "parameters"):
        check_call(found, options)
        return PlainFunction(found, options, ())
    if options:
        raise TypeError("it is made already and takes no options; name its class")
    return simulator


def describe_error(error: BaseException) -> str:
    """Return what a simulator raised in one line, not too long."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]
