"""Make the pictures of the documentation from finished studies, and the page that shows them all.

    python docs/gallery.py results [more results ...]

A picture whose study is in none of these folders stays as it is.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from studies.figures import moons, nuisances, ringdown, source_counts
from studies.moons_events import moons_events

from sbi_pipeline.plots.style import png

HERE = Path(__file__).parent
HEAD = """# Gallery

Each picture is of a real run; its page has the question, the equations, what was measured and
the command. `python docs/gallery.py results` makes the pictures and this page from results.

| | |
|---|---|
"""


@dataclass(frozen=True)
class Picture:
    """A picture of the gallery.

    Attributes:
        image: Name of its file in ``docs/images``.
        campaign: Whose results it is made of.
        source: A figure of the report, or a function from the folder of results to a figure.
        caption: What it shows, in Markdown.
        alt: The same for those who cannot see it.
    """

    image: str
    campaign: str
    source: str | Callable[[Path], Figure]
    caption: str
    alt: str

    def make(self, results: Path) -> bytes:
        """Return the PNG."""
        if isinstance(self.source, str):
            return (results / self.campaign / "figures" / f"{self.source}.png").read_bytes()
        return png(self.source(results))


PICTURES = [
    Picture(
        "influenza-corner",
        "influenza",
        "corner-school_1978",
        "**Influenza in a boarding school, 1978**: a real observation; NPE and NLE on one "
        "campaign. `make run`",
        "Posterior of beta, gamma and R0",
    ),
    Picture(
        "influenza-predictive",
        "influenza",
        "predictive-school_1978",
        "The same: what the posterior predicts for each day",
        "Predicted counts and the observed ones",
    ),
    Picture(
        "chirp-corner",
        "chirp",
        "corner-mock",
        "[A ringdown in two detectors](studies/chirp.md): NPE and FMPE propose, "
        "the exact likelihood weighs; phase and time are dropped",
        "Posteriors of NPE and FMPE, and weighted",
    ),
    Picture(
        "chirp-pp",
        "chirp",
        "pp",
        "The same: are 200 injections recovered as often as claimed?",
        "P-P plot over 200 injections",
    ),
    Picture(
        "chirp-rounds",
        "ringdown",
        ringdown,
        "[The ringdown in rounds](studies/chirp.md#in-rounds): NPE after three rounds of five, "
        "35 666 simulations in all, and weighted by the exact likelihood",
        "Posteriors of three rounds and the exact one",
    ),
    Picture(
        "bursts-widths",
        "bursts",
        "widths-survey-npe",
        "[A catalogue of gamma-ray bursts](../examples/catalogue/README.md): two hundred, drawn "
        "for in one go; those that the model cannot have made are marked",
        "Posterior sd against mean for two hundred bursts",
    ),
    Picture(
        "bursts-object",
        "bursts",
        "object-npe-survey-1-GRB120D",
        "The same: a burst that was flagged, over what is predicted for it. It has a second pulse, "
        "and the model has none",
        "Counts of one burst and bands of predictions",
    ),
    Picture(
        "moons-events-corner",
        "moons_events",
        moons_events,
        "[Five hundred points of a moon](studies/moons_events.md): "
        "likelihoods and ratios of single points, multiplied; a discrete parameter; beside NPE",
        "Exact posterior, NLE, NRE and NPE",
    ),
    Picture(
        "study-moons",
        "moons",
        moons,
        "[Two moons, 200 points](studies/moons.md): what a set encoder must see to learn the noise",
        "Posteriors of d, sigma and t by three networks",
    ),
    Picture(
        "study-source_counts",
        "source_counts",
        source_counts,
        "[Sources in a gamma-ray sky](studies/source_counts.md): "
        "up to 1 500 nuisances, and a glow that nobody modelled",
        "Maps, coverage and posterior",
    ),
    Picture(
        "narrow-rounds",
        "quadratic",
        "rounds-corner-mock",
        "[Specks in a prior](studies/narrow.md): a parabola in rounds, each simulated where the "
        "posterior of the one before is; dotted: the last box, 1.1e-5 of the prior",
        "Posteriors of three rounds over each other, and their box",
    ),
    Picture(
        "study-nuisances",
        "nuisances_1000",
        nuisances,
        "The same: does it matter how many nuisances are dropped?",
        "Coverage and posterior widths against the number of nuisances",
    ),
]


def main(folders: list[Path]) -> None:
    """Make what these folders have results of, and the page."""
    for picture in PICTURES:
        for results in folders:
            if (results / picture.campaign / "report.html").exists():
                (HERE / "images" / f"{picture.image}.png").write_bytes(picture.make(results))
    rows = [f"| {each.caption} | ![{each.alt}](images/{each.image}.png) |\n" for each in PICTURES]
    (HERE / "gallery.md").write_text(HEAD + "".join(rows))


if __name__ == "__main__":
    main([Path(folder) for folder in sys.argv[1:]])
