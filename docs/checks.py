"""Write the table of docs/checks.md from the registered diagnostics.

python docs/checks.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # this checkout, whatever else is installed

from sbi_pipeline import diagnostics

PAGE = Path(__file__).with_suffix(".md")
BEGIN, END = (f"<!-- {word}: python docs/checks.py -->\n" for word in ("begin", "end"))


def table() -> str:
    """Return a row for every diagnostic: its checks, what it is asked of, its thresholds."""
    lines = [
        "| checks | under `thresholds` | asked of | value | by chance | limits: warn, fail |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in diagnostics.registered().items():
        limits = "; ".join(f"`{key}` {written(value)}" for key, value in each.thresholds.items())
        cells = ["; ".join(each.checks), f"`{name}`" if limits else "", each.of.kind]
        lines.append(f"| {' | '.join([*cells, each.value, each.chance, limits])} |")
    return "\n".join(lines) + "\n"


def written(limits: float | tuple[float, float]) -> str:
    """Return a threshold, or a pair, as a reader writes it."""
    return ", ".join(f"{each:g}" for each in (limits if isinstance(limits, tuple) else (limits,)))


def page(text: str) -> str:
    """Return the page with its table made anew."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
