"""What comes with the package beside its code: the workflow, profiles and examples.

In a wheel they lie in the package; in a clone, from which it may be imported too, beside it.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent
HOME = PACKAGE if (PACKAGE / "workflow").is_dir() else PACKAGE.parent
WORKFLOW = str(HOME / "workflow/Snakefile")
"""The Snakefile that a study includes, or uses as a module."""
SCHEMA = HOME / "workflow/schemas/config.schema.yaml"
"""Of a configuration, for editors."""
PROFILES = HOME / "profiles"
EXAMPLES = HOME / "examples"
CITATION = HOME / "CITATION.cff"
"""How to cite the package."""
