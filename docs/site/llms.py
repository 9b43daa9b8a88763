"""llms.txt, https://llmstxt.org: what the pages are about, and where each is in plain text."""

import re
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

HEAD = "# {project}\n\n> {about}\n"
MADE_FROM_CODE = "docs/api/"
"""Pages whose Markdown only says what of the code to show: these are linked as they are built."""


def write(app: Sphinx, failure: Exception | None) -> None:
    """Write llms.txt at the root of a site that was built."""
    if failure is None and app.builder.name == "html":
        (Path(app.outdir) / "llms.txt").write_text(text(app))


def text(app: Sphinx) -> str:
    """Return a line for every page, below the captions of the table of contents."""
    env = app.env
    about = first_sentence(env, env.config.root_doc)
    said = [HEAD.format(project=app.config.project, about=about)]
    for caption, pages in sections(env):
        lines = [line(env, page) for page in pages]
        said.append(f"\n## {caption}\n\n" + "\n".join(lines) + "\n")
    return "".join(said)


def sections(env: BuildEnvironment) -> Iterator[tuple[str, list[str]]]:
    """Yield the captions of the contents, and the pages below each."""
    yield "Start", [env.config.root_doc]
    for tree in env.get_doctree(env.config.root_doc).findall(addnodes.toctree):
        yield tree["caption"], tree["includefiles"]


def line(env: BuildEnvironment, page: str) -> str:
    """Return title, address and first sentence of a page."""
    built = page.startswith(MADE_FROM_CODE)
    source = env.doc2path(page, base=False)
    address = f"{page}.html" if built else f"_sources/{source}"
    return f"- [{env.titles[page].astext()}]({address}): {first_sentence(env, page)}"


def first_sentence(env: BuildEnvironment, page: str) -> str:
    """Return what a page says first; lines of commands may stand before it."""
    paragraph = next(iter(env.get_doctree(page).findall(nodes.paragraph)))
    said = " ".join(paragraph.astext().split())
    first, *_ = re.split(r"(?<=[.?:]) (?=[A-Z])", said)
    return first


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the file when all pages are built."""
    app.connect("build-finished", write)
    return {"parallel_read_safe": True}
