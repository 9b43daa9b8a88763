"""The documentation as a site: `make docs` builds it into build/site.

Its sources are the Markdown files of the whole repository, where they lie, so that a link between
two of them is the same here and where the repository is looked at. contents.md beside this file
says which pages there are, in their order.
"""

import os
import sys
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

from sbi_pipeline import __version__  # noqa: E402

project = "sbi_pipeline"
author = "The sbi_pipeline authors"
release = version = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "llms",
]
root_doc = "README"
include_patterns = [
    "*.md",
    "benchmarks/**.md",
    "config/README.md",
    "containers/README.md",
    "docs/**.md",
    "docs/tutorial.ipynb",
    "examples/*/README.md",
]
# Folders that are not looked into, and texts that are parts of others or of a study made by `init`.
exclude_patterns = [
    *(f"**/{name}" for name in ("results", ".snakemake", "__pycache__")),
    *(".venv", "build", "dist", "docs/site", "examples/every_study"),
]

# The notebook is run anew for each site, where a cell that fails is an error; commands of its cells
# are those of this environment.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 600
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

myst_heading_anchors = 4
highlight_language = "none"
html_theme = "furo"
html_title = "sbi_pipeline"
html_extra_path = ["extra"]
html_static_path = ["static"]
html_css_files = ["site.css"]
html_sourcelink_suffix = ""
html_show_copyright = False
html_show_sphinx = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_type_aliases = {"Array": "Array"}
napoleon_use_ivar = True
add_module_names = False
default_role = "code"


def add_contents(_: Sphinx, docname: str, source: list[str]) -> None:
    """Put the table of contents below the README, which is the first page."""
    if docname == root_doc:
        source[0] += "\n" + (HERE / "contents.md").read_text()


def setup(app: Sphinx) -> None:
    """Connect what Sphinx has no setting for."""
    app.connect("source-read", add_contents)
