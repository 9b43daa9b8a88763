"""What is installed here, on which machine, and what of it would stop a run.

No variable of the environment is told but those that are named here, none of which is a secret.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from .cluster import of_cluster
from .examined import Examined
from .machine import of_machine
from .places import of_places
from .software import of_software

__all__ = ["Examined", "examine"]


def examine() -> Iterator[Examined]:
    """Yield what was found of the software, the machine, the working folder and the cluster."""
    yield from itertools.chain(of_software(), of_machine(), of_places(), of_cluster())
