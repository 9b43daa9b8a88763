"""Numbers of simulations: whether there are enough of each part, and not absurdly many."""

from __future__ import annotations

from collections.abc import Mapping

from ..storage.manifest import split
from ..training.fit import MIN_TRAIN, MIN_VALIDATION
from .binding import InconsistentError
from .files import Keys
from .reuse import own_rows
from .rounds import sizes_of
from .schema import CampaignEntry, Config, Split
from .signatures import record_of, stated, with_defaults

MIN_HELD_OUT = 20
"""Held-out simulations below which calibration says nothing."""
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
    fractions = _fractions(campaign)
    if sum(fractions.values()) >= 1:
        raise InconsistentError(
            (*keys, "split"),
            f"validation {fractions['validation']:g} and test {fractions['test']:g} leave nothing "
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
        _check_counts(name, campaigns, size, WANTED if size == sizes[-1] else smaller, keys)


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


def _check_counts(
    name: str, campaigns: Config, rows: int, wanted: Mapping[str, int], keys: Keys
) -> None:
    """Refuse numbers of simulations whose parts are too few."""
    held = _parts(name, campaigns, rows)
    for part, least in wanted.items():
        if held[part] < least:
            said = part in campaigns[name].get("split", {}) and keys[0] == "campaigns"
            raise InconsistentError(
                (*keys[:2], "split", part) if said else (*keys, "simulations"),
                f"{held[part]} of {rows} simulations are to {PURPOSE[part]}; at least {least} are "
                "wanted: raise simulations, or change split",
            )


def _parts(name: str, campaigns: Config, rows: int) -> dict[str, int]:
    """Return how many of so many rows are for what, those reused by their own seed and index."""
    others = own_rows(name, campaigns)[1:]
    own = rows - sum(taken for _, taken in others)
    fractions = _fractions(campaigns[name])
    masks = [
        split(0, taken, seed=stated(CampaignEntry, campaigns[each], "seed"), **fractions)
        for each, taken in [(name, own), *others]
    ]
    return {part: sum(int(each[part].sum()) for each in masks) for part in WANTED}


def _fractions(campaign: Config) -> dict[str, float]:
    return with_defaults(record_of(Split, "", 0, {}), campaign.get("split", {}))
