"""Self-contained HTML: templates, and images inside the page. The one home of jinja2."""

from __future__ import annotations

import base64
import re

import jinja2
from markupsafe import Markup, escape

from ..job_reports import duration
from ..plots import style, typeset
from ..populations import counted

PIXELS_PER_INCH = 112
"""Figures are set in 9.5 points; the page in 16 pixels."""


def template(name: str) -> jinja2.Template:
    """Return a template of ``templates/``, with the filters that set numbers and labels."""
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
        "label": typeset.label,
        "duration": duration,
        "tidy": typeset.tidy,
        "prose": prose,
    }
    environment.globals |= {"measured": typeset.measured, "interval": typeset.interval}
    return environment.get_template(name)


def prose(text: str) -> Markup:
    """Return text as HTML, with what stands in backticks as code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def embedded(png: bytes) -> dict[str, object]:
    """Return an image's data, and the width in pixels that gives its type the page's size."""
    pixels = int.from_bytes(png[16:20], "big")  # of the IHDR chunk, first in every PNG
    return {
        "data": base64.b64encode(png).decode(),
        "width": round(pixels / style.DOTS_PER_INCH * PIXELS_PER_INCH),
    }
