"""The plan of a study: what is to be made, with which specification, from which files.

What its jobs read and are told is `jobs`.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import sidecars
from . import shards
from .batches import Batch
from .campaign import Campaign
from .comparisons import comparisons_of
from .places import LEFT_OUT, RESULTS, ROW_STORES, place
from .reuse import own_rows
from .rounds import KnownBox, RoundChain, chains_of, with_rounds
from .schema import CampaignEntry, Config, Configuration, Refinement
from .signatures import stated
from .simulations import Simulations, joined, simulations_of
from .specification import Specification, stage

Members = list[dict[str, Any]]
DRAWS = "draws.zarr"
"""The store of a catalogue's draws, as rules call it: each part adds some, so it is no output."""


class Plan(Mapping[str, Specification]):
    """Specifications by the path that each is written to, beside what is made with it.

    Args:
        config: A checked configuration, its sweeps expanded.
        boxes: Those of rounds that are known, by name of the round that simulates in them; see
            `current`.

    Attributes:
        campaigns: By name.
        rounds: What those that are rounds simulate, by name.
        simulations: By name of their folder.
        sweeps: The members of each sweep, by name: ``campaign``, ``fit``, and settings.
        comparisons: Of campaigns as models of the same data, by name.

    Raises:
        ValueError: Something in the configuration makes no sense.
    """

    def __init__(self, config: Config, boxes: Mapping[str, KnownBox] | None = None) -> None:
        self._given, self._boxes = config, dict(boxes or {})
        self._stamps: tuple[int, ...] = ()
        self.chains = chains_of(config)
        config, self.rounds = with_rounds(config, self._boxes)
        self.config = config
        sweeps = config.get("sweeps", {})
        self.sweeps: dict[str, Members] = {
            name: list(sweep["members"]) for name, sweep in sweeps.items()
        }
        entries = config["campaigns"]
        stocks = self._stocks()
        fits = {each["fit"] for members in self.sweeps.values() for each in members}
        every = [name for name in config["estimators"] if name not in fits]
        self.campaigns = {
            name: Campaign(
                name,
                config,
                stocks[name],
                tuple(entry.get("estimators", every)),
                self.rounds.get(name),
            )
            for name, entry in entries.items()
        }
        self.comparisons = comparisons_of(self._given, self.campaigns, self.chains)
        self.simulations = joined(itertools.chain(*stocks.values()))
        self._shards: dict[str, Specification] = {}
        for each in self.simulations.values():
            self._shards |= shards.specifications(each)

    def _stocks(self) -> dict[str, list[Simulations]]:
        """Return what each campaign simulates itself, if anything, then what it takes of others."""
        entries = self.config["campaigns"]
        rows = {name: own_rows(name, entries) for name in entries}
        own = {
            name: simulations_of(*self._asked(name, entries[name], of[0][1]))
            for name, of in rows.items()
        }
        taken = {name: [own[each] for each, _ in of[1:]] for name, of in rows.items()}
        for name, each in self.rounds.items():
            confined = each.confined
            taken[name] = [
                dataclasses.replace(own[one], within=confined.get(one)) for one in each.earlier
            ]
        stocks = {name: [own[name], *taken[name]] for name in entries}
        return {name: [each for each in of if each.rows] for name, of in stocks.items()}

    def _asked(self, name: str, entry: Config, rows: int) -> tuple[Config, int]:
        """Return what a campaign simulates itself: in a round, what lies in no earlier one.

        A round that waits for its box simulates nothing: whatever it asked for would be asked of
        the whole prior, and so of the first round, which has its key.
        """
        each = self.rounds.get(name)
        if each is not None and each.waits_for:
            return entry, 0
        if each is None or each.box is None:
            return entry, rows
        seed = each.seed(stated(CampaignEntry, entry, "seed"))
        simulated, density = each.box.wanted(rows)
        source: dict[str, Any] = {"box": each.box.faces}
        if each.box.is_wider:
            source |= {"hole": each.boxes[-2].faces, "share": density}
        return {**entry, "source": source, "seed": seed}, simulated

    def current(self) -> Plan:
        """Return the plan with all boxes that are made as planned by now; itself if no other."""
        # The specification is written after the box: what is there is whole.
        paths = [specification_of(name) for chain in self.chains for name in chain.boxed]
        stamps = tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in paths)
        if stamps == self._stamps:
            return self
        plan = Plan(self._given)
        while found := plan._next_boxes():
            plan = Plan(self._given, {**plan._boxes, **found})
        plan._stamps = stamps
        return plan

    def _next_boxes(self) -> dict[str, KnownBox]:
        """Return the boxes that rounds wait for and that are made as planned."""
        waiting = {each.waits_for: None for each in self.rounds.values() if each.waits_for}
        return {
            name: KnownBox.read(box_of(name))
            for name in waiting
            if self.is_made(str(specification_of(name)))
        }

    def waits_for(self, path: str) -> str:
        """Return the round whose box must be known before a specification is; empty for none.

        Raises:
            ValueError: It is of a round that is not needed.
        """
        name = path.removeprefix(f"{RESULTS}/").partition("/")[0]
        if name in self.comparisons:
            return self.comparisons[name].waits_for(path)
        box_is_next = name in self.rounds_before and path == str(specification_of(name))
        planned = name in self.campaigns or box_is_next
        for each in self.rounds.values():
            if each.waits_for:
                (chain,) = each.chains
                if name == chain.last or (not planned and name in (*chain.names, *chain.boxed)):
                    return each.waits_for
        if not planned and name in self._possible:
            raise ValueError(f"{name} is not needed: the rounds before it have ended in their box")
        return ""

    @property
    def rounds_before(self) -> dict[str, tuple[RoundChain, str]]:
        """Of the box of a round, by its name: chain, and name of the round it is made of."""
        return {
            following: (chain, name)
            for name, each in self.rounds.items()
            for chain, following in each.next_boxes
        }

    def __getitem__(self, path: str) -> Specification:
        """Return the specification that is written to a path."""
        if path in self._shards:
            return self._shards[path]
        for campaign in self.campaigns.values():
            if path in campaign:
                return campaign[path]
        if path in self._overviews:
            return self._overviews[path]()
        raise KeyError(
            f"{path}: this configuration makes no such result; rounds before the last, and members "
            "of a sweep, have no page of their own"
        )

    def __iter__(self) -> Iterator[str]:
        """Yield all paths, inputs before what is made of them."""
        return itertools.chain(self._shards, *self.campaigns.values(), self._overviews)

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(1 for _ in self)

    @property
    def _overviews(self) -> dict[str, Callable[[], Specification]]:
        """Makers of the specifications of what is made over campaigns, by path."""
        each = (comparison.specifications.items() for comparison in self.comparisons.values())
        pages = {
            place(name, "compare"): (lambda name=name: self._compare(name)) for name in self.sweeps
        }
        accepted = {f"{RESULTS}/accepted.spec.json": self._judge} if self.strict else {}
        index = {f"{RESULTS}/index.spec.json": self._index}
        return {**dict(itertools.chain(*each)), **pages, **index, **accepted}

    def _compare(self, name: str) -> Specification:
        members, keys, follows = [], {}, []
        for each in self.sweeps[name]:
            campaign, folders, told = self.campaigns[each["campaign"]], [each["fit"]], {}
            if "observation" in each:  # of rounds: how many simulations it took in all
                folders.append(each["observation"])
                told = {"simulations": sum(stock.rows for stock in campaign.stocks)}
            made = "sample" if "observation" in each else "calibrate"
            place = "/".join([campaign.name, *folders])
            members.append({**each, **told})
            keys[place] = campaign.key(made, *folders)
            follows.append(f"{RESULTS}/{place}/{made}.spec.json")
        arguments = {"sweep": name, "members": members}
        return Specification("compare", arguments, keys, stage("compare"), tuple(follows))

    def _index(self) -> Specification:
        titles = {name: self.campaigns[name].entry.get("title", name) for name in self.reported}
        compared = {name: each.title for name, each in self.comparisons.items()}
        keys = {f"report of {name}": self.campaigns[name].key("report") for name in self.reported}
        keys |= {f"comparison of {name}": self._compare(name).key for name in self.sweeps}
        pages = self.comparisons.items()
        keys |= {f"comparison of {name}": each.compare_models.key for name, each in pages}
        arguments = {"titles": titles, **({"compared": compared} if compared else {})}
        follows = (
            *(place(name, "report") for name in self.reported),
            *(place(name, "compare") for name in self.sweeps),
            *(place(name, "compare_models") for name in self.comparisons),
        )
        return Specification("index", arguments, keys, stage("index"), follows)

    def _judge(self) -> Specification:
        follows = (f"{RESULTS}/index.spec.json",)
        return Specification("judge", {}, {"index": self._index().key}, stage("judge"), follows)

    @property
    def reported(self) -> list[str]:
        """Campaigns with a report of their own: those that are no part of a sweep or of rounds."""
        parts = {each["campaign"] for sweep in self.sweeps.values() for each in sweep}
        parts |= {name for name, each in self.rounds.items() if not each.is_last}
        return [name for name in self.campaigns if name not in parts]

    @property
    def strict(self) -> bool:
        """Whether a failed verdict is an error."""
        return bool(stated(Configuration, self.config, "strict"))

    @property
    def patterns(self) -> dict[str, str]:
        """Regular expressions of the wildcards of rules."""
        refinements = list(self.config.get("refine", {}))
        moved = [name for name, each in self.config.get("refine", {}).items() if _is_moved(each)]
        weighed = [name for name in refinements if name not in moved]
        catalogues = {each: None for one in self.campaigns.values() for each in one.catalogues}
        return {
            "campaign": "|".join({**self.campaigns, **self._possible}),
            "estimator": "|".join([*self.config["estimators"], *refinements]),
            "trained": "|".join(self.config["estimators"]),
            "refined": "|".join(refinements) or "(?!)",
            "weighed": "|".join(weighed) or "(?!)",
            "moved": "|".join(moved) or "(?!)",
            "sweep": "|".join(self.sweeps) or "(?!)",
            "comparison": "|".join(self.comparisons) or "(?!)",
            "catalogue": "|".join(catalogues) or "(?!)",
            "observation": rf"(?!(?:{'|'.join(catalogues)})\b)\w+" if catalogues else r"\w+",
            "simulation": r"[^/]+",
            "shard": r"\d+",
            "part": r"\d+",
            "program": r"\w+",
        }

    @property
    def _possible(self) -> dict[str, None]:
        """Names of all rounds there may be."""
        return {name: None for each in self.chains for name in (*each.names, *each.boxed)}

    def is_made(self, path: str) -> bool:
        """Say whether what is there was made with the specification planned for ``path``."""
        return self.looked_at()(path)

    def looked_at(self) -> Callable[[str], bool]:
        """Return `is_made` for many paths, which looks at each once and says so ever after."""

        @functools.cache
        def is_made(path: str) -> bool:
            return self._is_made(path, is_made)

        return is_made

    def _is_made(self, path: str, is_made: Callable[[str], bool]) -> bool:
        """Say whether a result is made, by what is said of those that it depends on."""
        batch = self.batch(path)
        if batch is not None and path != batch.members[0].path:
            whole = all(is_made(each.path) for each in batch.members)
            return whole and batch.is_told(Path(path))
        planned = self[path]
        if self.is_left_out(path):
            name = Path(path).parent.name
            using = [each for each in self.campaigns.values() if name in each.stock_names]
            return sidecars.is_specified(Path(path), planned.content) and all(
                is_made(each) for campaign in using for each in campaign
            )
        if not sidecars.is_made(Path(path), planned.content):
            return False
        if not all(map(is_made, planned.follows)):
            return False
        if planned.stage == "manifest":  # a receipt that was deleted wants its shard again
            (campaign,) = (each for each in self.campaigns.values() if path in each)
            return all(Path(each).is_file() for each in campaign.shard_receipts)
        return planned.stage != "infer" or Path(path).with_name(DRAWS).exists()

    def is_left_out(self, path: str) -> bool:
        """Say whether rows are not there since a bundle was opened that has none.

        They are made again where anything is to be made of a campaign that uses them.
        """
        place, stage = Path(path), self[path].stage
        if stage not in ROW_STORES or not place.with_name(LEFT_OUT).exists():
            return False
        shard = place.name.removesuffix(".spec.json").rpartition("-")[2]
        return not place.with_name(f"{ROW_STORES[stage]}-{shard}.zarr").exists()

    def missing_rows(self) -> list[str]:
        """Return a line for each folder whose rows were left out and are wanted again."""
        # Snakemake 9 does not see what changed behind a result that is made again as it was.
        gone = {str(Path(each).parent): None for each in self if self._is_wanted_again(each)}
        return [
            f"{folder}: its rows were left out of a bundle and are made first; run snakemake once "
            "more for what is to be made of them"
            for folder in gone
        ]

    def _is_wanted_again(self, path: str) -> bool:
        return self.is_left_out(path) and not self.is_made(path)

    def batch(self, path: str) -> Batch | None:
        """Return what the job of many observations makes that writes a path, if there is one."""
        found = (campaign.batch(path) for campaign in self.campaigns.values())
        return next((each for each in found if each is not None), None)


def _is_moved(refinement: Config) -> bool:
    return bool(stated(Refinement, refinement, "recalibrate"))


def box_of(name: str) -> Path:
    """Return where the box is written that a round simulates in."""
    return Path(RESULTS, name, "box.json")


def specification_of(name: str) -> Path:
    """Return where the specification of that box is written, when the box is there."""
    return box_of(name).with_name("truncate.spec.json")
