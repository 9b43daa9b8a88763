"""Numbers of simulations: whether there are enough of each part, and not absurdly many."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from ..recalibration import FEWEST_TO_CORRECT
from ..storage.manifest import split
from ..training.fit import MIN_TRAIN, MIN_VALIDATION
from .binding import InconsistentError
from .data import split_of
from .files import Keys
from .reuse import own_rows
from .rounds import sizes_of
from .schema import CampaignEntry, Config, Refinement
from .signatures import stated

MIN_HELD_OUT = 20
"""Held-out simulations below which calibration says nothing."""
FEW_HELD_OUT = 200
"""Held-out simulations below which it is said while planning what they will not show."""
SURE = 3.0
"""Standard errors of a width, each 1 / sqrt(2 n) of it, that are no chance."""
MOST_SHARDS = 100_000
"""Shards of a campaign, each a job of Snakemake: more can only be a slip."""
WANTED = {"train": MIN_TRAIN, "validation": MIN_VALIDATION, "test": MIN_HELD_OUT}
PURPOSE = {"train": "train on", "validation": "stop by", "test": "calibrate with"}


def check_parts(name: str, campaigns: Config, keys: Keys) -> None:
    """Check shards, blocks and the parts of a campaign, with what it reuses, and of its rounds.

    Raises:
        InconsistentError: Shards of no whole blocks or far too many of them, or too little to train
            on, to stop by or to calibrate with.
    """
    campaign = campaigns[name]
    shard, block = (stated(CampaignEntry, campaign, each) for each in ("shard_size", "block_size"))
    if (shards := -(-campaign["simulations"] // shard)) > MOST_SHARDS:
        text = f"{campaign['simulations']} are {shards} shards, a job each, of shard_size {shard}; "
        text += f"wanted at most {MOST_SHARDS} shards: raise shard_size, or ask for fewer"
        raise InconsistentError((*keys, "simulations"), text)
    if shard % block:
        text = f"shard_size {shard} is no multiple of block_size {block}"
        raise InconsistentError(
            (*keys, "shard_size" if "shard_size" in campaign else "block_size"), text
        )
    parts = split_of(campaign)
    if parts["validation"] + parts["test"] >= 1:
        raise InconsistentError(
            (*keys, "split"),
            f"validation {parts['validation']:g} and test {parts['test']:g} leave nothing "
            "to train on; wanted fractions that are together below 1",
        )
    _check_counts(name, campaigns, campaign["simulations"], WANTED, keys)
    for size in dict.fromkeys(sizes_of(campaign) if "rounds" in campaign else ()):
        _check_counts(name, campaigns, size, WANTED, (*keys, "rounds"))


def check_sweep_sizes(campaigns: Config, sweep: Config, keys: Keys) -> None:
    """Check the parts of each size of a sweep.

    Raises:
        InconsistentError: Too few, or no more than are reused; all are calibrated with those held
            out of the largest.
    """
    name = sweep["campaign"]
    sizes = sorted(sweep.get("simulations", []))
    taken = sum(rows for _, rows in own_rows(name, campaigns)[1:])
    if sizes and sizes[0] <= taken:
        text = f"got {sizes[0]}; {name} reuses {taken}, wanted more than these"
        raise InconsistentError((*keys, "simulations"), text)
    smaller = {part: least for part, least in WANTED.items() if part != "test"}
    for size in sizes:
        wanted = WANTED if size == sizes[-1] else smaller
        _check_counts(name, campaigns, size, wanted, keys, sizes[-1])


def check_calibration(config: Config) -> None:
    """Check that some campaign holds out as many simulations as calibration wants.

    Raises:
        InconsistentError: All hold out fewer.
    """
    wanted = config.get("calibration", {}).get("simulations")
    if wanted is None:
        return
    asked = [(name, entry["simulations"]) for name, entry in config["campaigns"].items()]
    for sweep in config.get("sweeps", {}).values():
        asked += [(sweep["campaign"], rows) for rows in sweep.get("simulations", [])]
    held_out = {
        (name, rows): _parts(name, config["campaigns"], rows)["test"] for name, rows in asked
    }
    (name, rows), most = max(held_out.items(), key=lambda item: item[1])
    if wanted > most:
        raise InconsistentError(
            ("calibration", "simulations"),
            f"got {wanted}; {name} holds out {most} of {rows} simulations, and no campaign more: "
            "raise its simulations or split.test, or ask for fewer",
        )


def check_recalibration(name: str, config: Config) -> None:
    """Check that there are ranks enough to make a correction of, and to judge it by.

    Raises:
        InconsistentError: Calibration asks for fewer, or a campaign holds out fewer.
    """
    entry, keys = config["refine"][name], ("refine", name, "recalibrate")
    if not stated(Refinement, entry, "recalibrate"):
        return
    wanted = config.get("calibration", {}).get("simulations", FEWEST_TO_CORRECT)
    if wanted < FEWEST_TO_CORRECT:
        text = f"wants ranks of {FEWEST_TO_CORRECT} held-out simulations, and calibration asks "
        raise InconsistentError(keys, f"{text}for {wanted}: raise calibration.simulations")
    for campaign, given in config["campaigns"].items():
        held_out = _parts(campaign, config["campaigns"], given["simulations"])["test"]
        trained = given.get("estimators", config["estimators"])
        if entry["proposal"] in trained and held_out < FEWEST_TO_CORRECT:
            text = f"wants {FEWEST_TO_CORRECT} held-out simulations, and {campaign} holds out "
            text += f"{held_out} of {given['simulations']}: raise its simulations or split.test"
            raise InconsistentError(keys, text)


def _check_counts(
    name: str,
    campaigns: Config,
    rows: int,
    wanted: Mapping[str, int],
    keys: Keys,
    largest: int | None = None,
) -> None:
    """Refuse numbers of simulations whose parts are too few; ``largest`` is that of a sweep."""
    held = _parts(name, campaigns, rows, largest)
    for part, least in wanted.items():
        if held[part] < least:
            said = part in campaigns[name].get("split", {}) and keys[0] == "campaigns"
            raise InconsistentError(
                (*keys[:2], "split", part) if said else (*keys, "simulations"),
                f"{held[part]} of {rows} simulations are to {PURPOSE[part]}; at least {least} are "
                "wanted: raise simulations, or change split",
            )


def few_held_out(config: Config) -> Iterator[str]:
    """Yield what will hardly be judged of campaigns that hold out few simulations, a line each."""
    for name, campaign in config["campaigns"].items():
        rows = campaign["simulations"]
        if rows > 1_000 * FEW_HELD_OUT:
            continue
        held_out = _parts(name, config["campaigns"], rows)["test"]
        if held_out < FEW_HELD_OUT:
            seen = SURE / math.sqrt(2 * held_out)
            yield (
                f"{name} holds out {held_out} of {rows} simulations: that a posterior is too wide "
                f"or narrow is seen from {seen:.0%} on, and near an observation later still; "
                f"{FEW_HELD_OUT} show {SURE / math.sqrt(2 * FEW_HELD_OUT):.0%}: raise simulations, "
                "or split.test"
            )


def _parts(name: str, campaigns: Config, rows: int, largest: int | None = None) -> dict[str, int]:
    """Return how many of so many rows are for what, those reused by their own seed and index."""
    others = own_rows(name, campaigns)[1:]
    own = rows - sum(taken for _, taken in others)
    told = split_of(campaigns[name], largest or rows)
    masks = [
        split(0, taken, seed=stated(CampaignEntry, campaigns[each], "seed"), **told)
        for each, taken in [(name, own), *others]
    ]
    return {part: sum(int(each[part].sum()) for each in masks) for part in WANTED}
