"""Self-contained HTML: templates, and images inside the page. The one home of jinja2."""

from __future__ import annotations

import base64
import re

import jinja2
from markupsafe import Markup, escape

from ..job_reports import duration
from ..plots import style, typeset
from ..populations import counted

PNG = b"\x89PNG"
"""How every PNG begins."""
PIXELS_PER_INCH = 112
"""Figures are set in 9.5 points; the page in 16 pixels."""


class Formulas:
    """The labels of one page that are formulas: each is drawn once, at its end, and used by name.

    A page of two hundred observations has thousands of labels.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def label(self, text: str) -> Markup:
        """Return a label as HTML; text with ``$…$`` as a small drawing that names itself."""
        if "$" not in text:
            return Markup("<span>{}</span>").format(text)
        drawn = typeset.formula(text)
        if drawn is None:
            return Markup("<code>{}</code>").format(text)
        name = self._names.setdefault(text, f"formula-{len(self._names)}")
        return Markup(
            '<svg class="math" role="img" aria-label="{}" viewBox="0 {} {} {}" '
            'style="height:{:.2f}em;vertical-align:{:.2f}em"><use href="#{}"/></svg>'
        ).format(
            typeset.spoken(text),
            *(-drawn.height, drawn.width, drawn.height + drawn.depth),
            *((drawn.height + drawn.depth) / typeset.UNITS, -drawn.depth / typeset.UNITS),
            name,
        )

    def drawn(self) -> Markup:
        """Return the outlines of all that was used so far."""
        known = ((name, typeset.formula(text)) for text, name in self._names.items())
        paths = (
            Markup('<path id="{}" d="{}"/>').format(name, each.path) for name, each in known if each
        )
        return Markup('<svg class="formulas" aria-hidden="true"><defs>{}</defs></svg>').format(
            Markup("").join(paths)
        )


def template(name: str) -> jinja2.Template:
    """Return a template of ``templates/``, with the filters that set numbers and labels."""
    formulas = Formulas()
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sbi_pipeline"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "counted": counted,
        "number": typeset.number,
        "label": formulas.label,
        "duration": duration,
        "tidy": typeset.tidy,
        "prose": prose,
    }
    environment.globals |= {
        "measured": typeset.measured,
        "interval": typeset.interval,
        "formulas": formulas.drawn,
    }
    return environment.get_template(name)


def prose(text: str) -> Markup:
    """Return text as HTML, with what stands in backticks as code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def embedded(image: bytes) -> dict[str, object]:
    """Return the address that holds an image, SVG or PNG, and its width on the page in pixels.

    The width gives the type of a figure the size of the page's.
    """
    if image.startswith(PNG):
        pixels = int.from_bytes(image[16:20], "big")  # of the IHDR chunk, first in every PNG
        kind, inches = "png", pixels / style.DOTS_PER_INCH
    else:
        kind, inches = "svg+xml", float(re.findall(rb'<svg[^>]* width="([\d.]+)pt"', image)[0]) / 72
    return {
        "address": f"data:image/{kind};base64,{base64.b64encode(image).decode()}",
        "width": round(inches * PIXELS_PER_INCH),
    }
