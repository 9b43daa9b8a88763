"""What is known of the data of a campaign before anything is simulated."""

from __future__ import annotations

from ..catalogues import Layout
from ..model import build_simulator
from ..observations import read_observation
from ..types import Simulator, declared_shape
from .schema import CampaignEntry, Config
from .signatures import stated


def simulator_of(campaign: Config) -> Simulator:
    """Return the simulator of a campaign with its options."""
    return build_simulator(campaign["simulator"], campaign.get("options", {}))


def data_shape(campaign: Config) -> tuple[int, ...] | None:
    """Return the shape of one data set, if the simulator says it or an observation shows it."""
    said = declared_shape(simulator_of(campaign))
    if said is None and not stated(CampaignEntry, campaign, "events"):
        entries = campaign.get("observations", {}).values()
        files = [entry["file"] for entry in entries if "file" in entry]
        return read_observation(files[0]).shape if files else None
    return said


def layout_of(entry: Config) -> Layout:
    """Return how the table of a catalogue holds its objects."""
    return Layout(
        table=entry["table"],
        name=entry.get("name"),
        columns=tuple(entry.get("columns", ())),
        files=entry.get("files"),
        truth=entry.get("truth", {}),
    )
