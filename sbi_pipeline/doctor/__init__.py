"""What is installed here, on which machine, and what of it would stop a run.

No variable of the environment is told but those that are named here, none of which is a secret.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from .cluster import cluster
from .examined import Examined
from .machine import machine
from .places import places
from .software import software

__all__ = ["Examined", "examine"]


def examine() -> Iterator[Examined]:
    """Yield what was found of the software, the machine, the working folder and the cluster."""
    yield from itertools.chain(software(), machine(), places(), cluster())
