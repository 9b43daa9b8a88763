"""One self-contained HTML page a campaign: what was asked, the verdict, and what it rests on.

`figures` makes every figure, `render` the page around them. Both take loaded objects and know no
paths; the page names nothing outside itself, so it opens offline and can be mailed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from . import citation
from .contents import MAX_SHOWN, Report
from .pictures import look_of, pictures
from .rendering import embedded, template
from .verdict import overall

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figures(report: Report, first: int = 0, step: int = 1) -> Iterator[tuple[str, Figure]]:
    """Yield figures of the page with the stem of their files, one at a time.

    Args:
        report: What to tell.
        first: The first that is drawn; with ``step``, so that several processes share the work.
        step: From one to the next.
    """
    look = look_of(report)
    for picture in pictures(report)[first::step]:
        figure = picture.draw(look)
        if figure is not None:
            yield picture.stem, figure


def render(report: Report, images: Mapping[str, bytes]) -> str:
    """Return the page.

    Args:
        report: What to tell.
        images: PNG or SVG files by stem, of the figures of `figures`; those missing are left out.
    """
    paragraph = citation.paragraph(report)
    return template("report.html").render(
        report=report,
        verdict=overall(report.checks),
        pictures=[each for each in pictures(report) if each.stem in images],
        images={stem: embedded(image) for stem, image in images.items()},
        most=MAX_SHOWN,
        colours=look_of(report).colours,
        methods=citation.in_plain_text(paragraph),
        bibtex=citation.bibtex(paragraph, citation.own_version(report)),
    )
