"""Simulation-based inference from a simulator to a posterior one can trust."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .by_hand import Study
    from .trained import load

__version__ = "0.1.0"
__all__ = ["Study", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import `load` or `Study` when it is asked for: most of the package does without torch."""
    if name == "load":
        from .trained import load  # noqa: PLC0415

        return load
    if name == "Study":
        from .by_hand import Study  # noqa: PLC0415

        return Study
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
