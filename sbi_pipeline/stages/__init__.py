"""The file interface: one function a rule, files in and files out.

Each works as well from Python, with paths. A stage's keyword arguments are what the rule of the
same name passes: inputs and outputs as paths, the rest from ``*.spec.json``. ``key`` is written
into what a stage makes; ``*_key`` is what its inputs must carry.

Each module here is imported when one of its stages is asked for, so that drawing from a prior does
not wait for torch.
"""

from __future__ import annotations

from typing import Any

from ..registry import STAGES, load_part


def __getattr__(name: str) -> Any:
    """Import the stage ``name``."""
    if name in STAGES:
        return load_part(name, STAGES)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
