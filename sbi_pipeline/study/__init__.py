"""From a configuration to a plan: what is to be made, and the exact specification of each part.

Everything that knows the keys of the configuration is in here. Every result has a small
``*.spec.json`` beside it, written by the stage that made it: all that may have changed it, with its
key. What is not there as planned is made anew, even where Snakemake's records are lost.
"""

from .configuration import load_configuration, take_configuration
from .files import DEFAULTS, ConfigurationError, assignments, default_files
from .jobs import Jobs
from .plan import Plan

__all__ = [
    "DEFAULTS",
    "ConfigurationError",
    "Jobs",
    "Plan",
    "assignments",
    "default_files",
    "load_configuration",
    "take_configuration",
]
