"""Campaigns in rounds: each round simulates in the box of the prior that the one before found.

A round is a campaign like any other, whose parameters come from a box and which takes the rows of
all rounds before it that lie inside. How many rounds there are, and where their boxes are, is known
only as they are made: a plan has the campaigns whose boxes it knows, and the last one waits for the
next box. Keys of simulations are made of the faces themselves: a box that comes out otherwise has
other rows, and one that comes out the same has the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import sidecars, streams
from ..priors.boxes import Faces
from .schema import Config, Rounds
from .signatures import stated
from .simulations import RESULTS

UNUSED = ("rounds", "title", "question", "derived_parameters", "observations", "estimators")
"""Of a campaign, what its rounds before the last do without, or have less of."""
AS_INFORMATIVE = 0.05
"""Nats by which a round must tell more of each parameter than the one before, to be no last one."""


@dataclass(frozen=True)
class Chain:
    """Rounds about one observation.

    Attributes:
        campaign: Name of the campaign in the configuration.
        last: Name of the last round, the campaign that is reported.
        prefix: Of the names of rounds from the second on.
        observation: Name of the observation.
        estimator: Name of the estimator whose posterior boxes are made of.
        sizes: Simulations of each round before the last.
        mass: Posterior mass that a box may leave out, of each parameter.
        shrink: A box that keeps more than this share of the one before is the last.
    """

    campaign: str
    last: str
    prefix: str
    observation: str
    estimator: str
    sizes: tuple[int, ...]
    mass: float
    shrink: float

    @property
    def at_most(self) -> int:
        """How many rounds there may be, the last one counted."""
        return len(self.sizes) + 1

    def name(self, number: int) -> str:
        """Return the name of a round before the last; chains of a campaign share the first."""
        return f"{self.campaign if number == 1 else self.prefix}_round_{number}"

    @property
    def names(self) -> list[str]:
        """Names of all rounds there may be before the last."""
        return [self.name(number) for number in range(1, self.at_most)]

    @property
    def boxes(self) -> dict[int, Path]:
        """Where the boxes are written, by the number of the round that simulates in them."""
        numbers = range(2, self.at_most + 1)
        return {number: Path(RESULTS, self.name(number), "box.json") for number in numbers}


@dataclass(frozen=True)
class KnownBox:
    """What is planned with of a box that is made.

    Attributes:
        faces: Its faces.
        volume: The prior's mass within it.
        ratio: Over that of the box it was made in.
        rows: Of the rounds before, how many lie within it.
        information: Of the posterior that it was made of, in nats.
    """

    faces: Faces
    volume: float
    ratio: float
    rows: int
    information: float

    @classmethod
    def read(cls, path: Path) -> KnownBox:
        """Return the box of a file.

        Raises:
            ValueError: It was damaged.
        """
        content = sidecars.read_if_whole(path) or {}
        try:
            return cls(**{name: content[name] for name in cls.__dataclass_fields__})
        except KeyError as error:
            raise ValueError(f"{path} was damaged; delete it and run snakemake again") from error


@dataclass(frozen=True)
class Round:
    """A campaign of a chain.

    Attributes:
        chains: Those it belongs to: one, or several that share the first round.
        number: Which round it is.
        earlier: Names of the rounds before it.
        box: Where it simulates; None is the whole prior.
        is_last: Whether it is the one that is reported.
        waits_for: Name of the round whose box must be known before this one is; empty for none.
    """

    chains: tuple[Chain, ...]
    number: int
    earlier: tuple[str, ...] = ()
    box: KnownBox | None = None
    is_last: bool = False
    waits_for: str = ""

    @property
    def faces(self) -> Faces | None:
        """Faces of the box it simulates in."""
        return None if self.box is None else self.box.faces

    def seed(self, seed: int) -> int:
        """Return the seed of its simulations, from the campaign's: no two rounds share numbers."""
        return seed if self.number == 1 else streams.integer(seed, f"round {self.number}")

    @property
    def next_boxes(self) -> list[tuple[Chain, str]]:
        """Chains, and names of the rounds that simulate in the boxes made of this one."""
        if self.is_last:
            return []
        return [(chain, chain.name(self.number + 1)) for chain in self.chains]


def chains_of(config: Config) -> list[Chain]:
    """Return all chains of rounds of a configuration."""
    return [
        chain
        for name, entry in config["campaigns"].items()
        if "rounds" in entry
        for chain in _chains(name, entry, config)
    ]


def _chains(name: str, entry: Config, config: Config) -> Iterator[Chain]:
    given = entry["rounds"]
    about = observations_of(entry)
    for observation in about:
        own = name if len(about) == 1 else f"{name}_{observation}"
        yield Chain(
            campaign=name,
            last=own,
            prefix=own,
            observation=observation,
            estimator=given.get("estimator", _first(entry, config)),
            sizes=sizes_of(entry),
            mass=stated(Rounds, given, "mass"),
            shrink=stated(Rounds, given, "shrink"),
        )


def observations_of(entry: Config) -> list[str]:
    """Return the observations that a campaign's rounds are about."""
    named = entry["rounds"].get("observation", list(entry.get("observations", {})))
    return [named] if isinstance(named, str) else list(named)


def sizes_of(entry: Config) -> tuple[int, ...]:
    """Return the simulations of each round before the last."""
    given = entry["rounds"]
    sizes = given.get("simulations", max(100, entry["simulations"] // 5))
    if isinstance(sizes, int):
        return (sizes,) * (stated(Rounds, given, "at_most") - 1)
    return tuple(sizes)


def _first(entry: Config, config: Config) -> str:
    return str(entry.get("estimators", list(config["estimators"]))[0])


def expanded(
    config: Config, boxes: Mapping[str, KnownBox]
) -> tuple[dict[str, Any], dict[str, Round]]:
    """Return a configuration with a campaign for each round, and what each round is.

    Args:
        config: The configuration.
        boxes: Those that are known, by name of the round that simulates in them.
    """
    campaigns, rounds = dict(config["campaigns"]), dict[str, Round]()
    for chain in chains_of(config):
        campaigns.pop(chain.campaign, None)
        sharing = rounds[chain.name(1)].chains if chain.name(1) in rounds else ()
        rounds[chain.name(1)] = Round((*sharing, chain), 1)
        rounds |= dict(_known(chain, boxes))
    for name, each in rounds.items():
        campaigns[name] = _entry(config["campaigns"][each.chains[0].campaign], each)
    return {**config, "campaigns": campaigns}, rounds


def _known(chain: Chain, boxes: Mapping[str, KnownBox]) -> Iterator[tuple[str, Round]]:
    """Yield the rounds after the first whose boxes are known, the last one of them or not."""
    earlier, before = [chain.name(1)], None
    for number in range(2, chain.at_most + 1):
        name = chain.name(number)
        box = boxes.get(name)
        place: dict[str, Any] = {"number": number, "earlier": tuple(earlier)}
        if box is None:
            yield chain.last, Round((chain,), box=before, is_last=True, waits_for=name, **place)
            return
        if number == chain.at_most or _stops(chain, box, before):
            yield chain.last, Round((chain,), box=box, is_last=True, **place)
            return
        yield name, Round((chain,), box=box, **place)
        earlier.append(name)
        before = box


def _stops(chain: Chain, box: KnownBox, before: KnownBox | None) -> bool:
    """Say whether a box is the last: it hardly shrank, or its posterior tells no more."""
    if box.ratio > chain.shrink:
        return True
    gain = math.inf if before is None else box.information - before.information
    return gain < AS_INFORMATIVE * len(box.faces)


def _entry(entry: Config, each: Round) -> dict[str, Any]:
    """Return the entry of the campaign that a round is."""
    chain = each.chains[0]
    about = [one.observation for one in each.chains]
    observations = {name: entry["observations"][name] for name in about}
    if each.is_last:
        return {**entry, "observations": observations}
    kept = {key: value for key, value in entry.items() if key not in UNUSED}
    return {
        **kept,
        "observations": observations,
        "estimators": [chain.estimator],
        "simulations": chain.sizes[each.number - 1],
    }
