"""What all figures share: colours, type, panels, files.

Diagnostics import this at their top, and are themselves imported to check thresholds before
anything runs; matplotlib, which takes half a second, is imported only where something is drawn.
"""

from __future__ import annotations

import functools
import io
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from .. import registry
from ..types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

# Old fonts in PDFs: their missing dates are nobody's concern.
logging.getLogger("fontTools.ttLib.tables._h_e_a_d").setLevel(logging.ERROR)

P = ParamSpec("P")
T = TypeVar("T")

KNOWN = dict(
    zip(registry.ESTIMATORS, ("#0072B2", "#D55E00", "#009E73", "#AA4499", "#B8860B"), strict=False)
)
"""Of estimators called like their method."""
OTHERS = ("#56B4E9", "#E69F00", "#332288", "#117733", "#882255", "#44AA99")
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#332288", "#882255")
INK, FAINT, TRUTH = "#222222", "#9A9A9A", "#000000"

DOTS_PER_INCH = 170
MOST_PIXELS = 1900
"""Width of a PNG: twice that of a page, for fine screens. What is larger on paper is a PDF."""
SMALL_AXES, SMALL_BYTES = 30, 100_000
"""Figures of at most so many panels and bytes are SVG on a page, others PNG."""

FORMULAS = 2_000
"""That are kept, of each figure's sizes and files."""

STYLE: dict[str, Any] = {
    "axes.edgecolor": "#555555",
    "axes.grid": False,
    "axes.labelsize": 10,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.facecolor": "white",
    "font.size": 9.5,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "mathtext.fontset": "cm",
    "pdf.fonttype": 42,
    "savefig.facecolor": "white",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
}


@dataclass(frozen=True)
class Look:
    """How things are called and coloured in all figures of a page.

    Attributes:
        colours: By estimator.
        labels: By parameter, LaTeX between dollars or text.
    """

    colours: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)

    def label(self, name: str) -> str:
        """Return the label of a parameter or quantity: its name if there is none."""
        return self.labels.get(name, name)


def palette(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each estimator, the same for the same names."""
    others = iter(OTHERS * 10)
    return {name: KNOWN[name] if name in KNOWN else next(others) for name in names}


def styled(plot: Callable[P, T]) -> Callable[P, T]:
    """Draw, or write to a file, with the house's style, whatever the caller's is."""

    @functools.wraps(plot)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        import matplotlib as mpl

        _remember_formulas()
        # The backend belongs to whoever runs us; all other settings are the same for everyone.
        settings: dict[Any, Any] = {**mpl.rcParamsDefault, **STYLE}
        del settings["backend"]
        with mpl.rc_context(settings):
            return plot(*args, **kwargs)

    return wrapped


@functools.cache
def _remember_formulas() -> None:
    """Keep the formulas of a figure of many parameters once they are read.

    Matplotlib keeps fifty, and reads sixty labels anew for every size that it tries and every file:
    most of the time that such a figure takes.
    """
    from matplotlib.mathtext import MathTextParser

    parser: Any = MathTextParser
    read: Any = getattr(parser, "_parse_cached", None)
    if hasattr(read, "__wrapped__"):
        parser._parse_cached = functools.lru_cache(FORMULAS)(read.__wrapped__)


@styled
def save_figure(figure: Figure, folder: Path, stem: str) -> Path:
    """Write ``stem.png`` and ``stem.pdf``.

    Returns:
        The path of the first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.png"
    _arrange(figure)
    path.write_bytes(png(figure))
    # Without a date the same figure is the same file.
    figure.savefig(folder / f"{stem}.pdf", metadata={"CreationDate": None})
    return path


def save_small_vector(figure: Figure, folder: Path, stem: str) -> None:
    """Write ``stem.svg`` beside what `save_figure` has written, where that is small."""
    if len(figure.axes) <= SMALL_AXES and len(drawn := svg(figure)) <= SMALL_BYTES:
        (folder / f"{stem}.svg").write_bytes(drawn)


def _arrange(figure: Figure) -> None:
    """Place panels and labels once for all formats: of many panels that takes seconds."""
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine(None)  # with "none" all is placed twice for every format


@styled
def png(figure: Figure) -> bytes:
    """Return the figure as PNG, at most `MOST_PIXELS` wide."""
    buffer = io.BytesIO()
    dots = min(DOTS_PER_INCH, MOST_PIXELS / figure.get_figwidth())
    figure.savefig(buffer, format="png", dpi=dots)
    return buffer.getvalue()


@styled
def svg(figure: Figure) -> bytes:
    """Return the figure as SVG, its type as outlines; what is rasterised is so on paper as well."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    # Names within it and no date: the same figure is the same file.
    with mpl.rc_context({"svg.hashsalt": "figure", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", dpi=DOTS_PER_INCH, metadata={"Date": None})
    return re.sub(rb' d="[^"]*"', _shortened, buffer.getvalue())


def _shortened(path: re.Match[bytes]) -> bytes:
    """Return a path of an SVG with places to a hundredth of a point, and no line breaks."""
    places = re.sub(rb"(\.\d\d)\d+", rb"\1", path[0])
    return re.sub(rb"\s+", b" ", places)


def edges(values: Array, bins: int) -> list[float]:
    """Return the edges of bins over values; where these are one number, or nearly, around it."""
    low, high = float(np.min(values)), float(np.max(values))
    least = bins * float(np.spacing(max(abs(low), abs(high), 1e-200)))
    if high - low < 2 * least:
        low, high = low - least, high + least
    return np.linspace(low, high, bins + 1).tolist()


def canvas(width: float, height: float) -> Figure:
    """Return an empty figure, sizes in inches, that no window and no global state knows."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def panels(
    count: int, columns: int, width: float = 3.0, height: float = 2.4, **kwargs: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure with ``count`` axes in at most ``columns`` columns, sizes in inches.

    Rows are as even as they can be: four in at most three columns are two and two.
    """
    rows = -(-count // columns)
    columns = -(-count // rows)
    figure = canvas(columns * width, rows * height)
    axes = np.ravel(figure.subplots(rows, columns, squeeze=False, **kwargs))
    for unused in axes[count:]:
        unused.set_visible(False)
    return figure, list(axes[:count])


def key(figure: Figure, entries: Mapping[str, Line2D | Patch], columns: int = 5) -> None:
    """Write a legend above all panels, where it hides nothing."""
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside upper right",
        ncols=min(columns, len(entries)),
    )


def line_of(colour: str, **kwargs: Any) -> Line2D:
    """Return a line for a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, **{"lw": 2.0, **kwargs})


def patch(colour: str) -> Patch:
    """Return an area for a legend."""
    from matplotlib.patches import Patch

    return Patch(color=colour)


def note(axis: Axes, line: int, text: str, colour: str) -> None:
    """Write a line in the upper right corner of an axis, from 0 downwards."""
    axis.text(
        0.98, 0.98 - 0.11 * line, text, transform=axis.transAxes, ha="right", va="top",
        fontsize=8.5, color=colour,
    )  # fmt: skip


def label_outer(axes: list[Axes], x: str, y: str) -> None:
    """Label the axes at the left and at the bottom of all panels of a figure."""
    spec = axes[0].get_subplotspec()
    assert spec is not None  # it is one of `panels`
    columns = spec.get_gridspec().ncols
    for place, axis in enumerate(axes):
        if place % columns == 0:
            axis.set_ylabel(y)
        if place >= len(axes) - columns:
            axis.set_xlabel(x)


def axis_label(attrs: Mapping[str, str], name: str) -> str:
    """Return ``label [unit]`` of a variable."""
    label, unit = attrs.get("label") or name, attrs.get("unit", "")
    return f"{label} [{unit}]" if unit else label
