"""A study in one archive: packed, and opened on another machine."""

from .opening import unpack
from .packing import pack

__all__ = ["pack", "unpack"]
