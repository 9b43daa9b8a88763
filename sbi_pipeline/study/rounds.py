"""Campaigns in rounds: each round simulates in the box of the prior that the one before found.

A round is a campaign like any other, whose parameters come from a box and which takes the rows of
all rounds before it that lie inside. How many rounds there are, and where their boxes are, is known
only as they are made: a plan has the campaigns whose boxes it knows, and the last one waits for the
next box. Keys of simulations are made of the faces themselves: a box that comes out otherwise has
other rows, and one that comes out the same has the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import sidecars, streams
from ..priors.boxes import Faces, cut_by, holds
from .schema import Config, Rounds
from .signatures import stated

UNUSED = (
    "rounds",
    "title",
    "question",
    "derived_parameters",
    "observations",
    "estimators",
    "held_out",
)
"""Of a campaign, what its rounds before the last do without, or have less of."""
FEWEST = 500
"""Simulations of a round before the last, where the user gives none: fewer calibrate badly."""
AS_INFORMATIVE = 0.05
"""Nats by which a round must tell more of each parameter than the one before, to be no last one."""


@dataclass(frozen=True)
class RoundChain:
    """Rounds about one observation.

    Attributes:
        campaign: Name of the campaign in the configuration.
        last: Name of the last round, the campaign that is reported.
        prefix: Of the names of rounds from the second on.
        observation: Name of the observation.
        estimator: Name of the estimator whose posterior boxes are made of.
        sizes: Simulations of each round before the last.
        mass: Posterior mass that a box may leave out, of each parameter.
        widening: Factor by which its intervals are widened at least.
        shrink: A box that keeps more than this share of the one before is the last.
        axes: Along which boxes lie: those of ``parameters``, or ``principal`` ones of a posterior.
    """

    campaign: str
    last: str
    prefix: str
    observation: str
    estimator: str
    sizes: tuple[int, ...]
    mass: float
    widening: float
    shrink: float
    axes: str

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
    def boxed(self) -> list[str]:
        """Names of all rounds there may be that simulate in a box."""
        return [self.name(number) for number in range(2, self.at_most + 1)]


@dataclass(frozen=True)
class KnownBox:
    """What is planned with of a box that is made.

    Attributes:
        key: Its key.
        faces: Its faces.
        volume: The prior's mass within it.
        ratio: Over that of the box it was made in; above 1 if it reaches beyond that.
        rows: Of the rounds before, how many lie within it; if it reaches beyond the box it was made
            in, within that.
        outside: Then, how many lie around that and count.
        information: Of the posterior that it was made of, in nats.
    """

    key: str
    faces: Faces
    volume: float
    ratio: float
    rows: int
    outside: int
    information: float

    @property
    def is_wider(self) -> bool:
        """Whether it reaches beyond the box it was made in."""
        return self.ratio > 1

    def wanted(self, rows: int) -> tuple[int, float]:
        """Return how many rows are to be simulated in it so that all are as dense everywhere.

        Args:
            rows: Of all rounds together, or more where those that are there are denser.

        Returns:
            How many, and, of a wider one, how dense in the box it was made in, over around that.
        """
        if not self.is_wider:
            return max(0, rows - self.rows), 1.0
        share = 1 / self.ratio
        total = max(rows, self.rows / share)
        inside = total * share - self.rows
        around = max(1.0, total * (1 - share) - self.outside)
        density = (inside / share) / (around / (1 - share))
        return round(inside + around), min(1.0, density)

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
        boxes: Those that are known of the rounds up to this one, from that of the second on.
        is_last: Whether it is the one that is reported.
        waits_for: Name of the round whose box must be known before this one is; empty for none.
    """

    chains: tuple[RoundChain, ...]
    number: int
    earlier: tuple[str, ...] = ()
    boxes: tuple[KnownBox, ...] = ()
    is_last: bool = False
    waits_for: str = ""

    @property
    def box(self) -> KnownBox | None:
        """Where it simulates; None is the whole prior."""
        return self.boxes[-1] if self.boxes else None

    @property
    def faces(self) -> Faces | None:
        """Faces of the box it simulates in."""
        return None if self.box is None else self.box.faces

    @property
    def confined(self) -> dict[str, Faces]:
        """Faces to which rows of earlier rounds are confined, by name of the round.

        Where a box reached beyond the one before, rows of rounds whose own boxes do not hold it
        count within the one before alone: around it they would be denser in some places.
        """
        found: dict[str, Faces] = {}
        for place, box in enumerate(self.boxes):
            if box.is_wider:
                for earlier, own in enumerate(self.boxes[:place]):
                    if not holds(own.faces, box.faces):
                        name = self.earlier[earlier + 1]
                        found.setdefault(name, self.boxes[place - 1].faces)
        return found

    def seed(self, seed: int) -> int:
        """Return the seed of its simulations, from the campaign's: no two rounds share numbers."""
        return seed if self.number == 1 else streams.integer(seed, f"round {self.number}")

    @property
    def next_boxes(self) -> list[tuple[RoundChain, str]]:
        """Chains, and names of the rounds that simulate in the boxes made of this one."""
        if self.is_last:
            return []
        return [(chain, chain.name(self.number + 1)) for chain in self.chains]


def chains_of(config: Config) -> list[RoundChain]:
    """Return all chains of rounds of a configuration."""
    return [
        chain
        for name, entry in config["campaigns"].items()
        if "rounds" in entry
        for chain in chains_about(name, entry, config)
    ]


def chains_about(name: str, entry: Config, config: Config) -> Iterator[RoundChain]:
    """Yield the chain of rounds about each observation of a campaign that has rounds."""
    given = entry["rounds"]
    about = observations_of(entry)
    for observation in about:
        own = name if len(about) == 1 else f"{name}_{observation}"
        yield RoundChain(
            campaign=name,
            last=own,
            prefix=own,
            observation=observation,
            estimator=given.get("estimator", _first(entry, config)),
            sizes=sizes_of(entry),
            mass=stated(Rounds, given, "mass"),
            widening=stated(Rounds, given, "widening"),
            shrink=stated(Rounds, given, "shrink"),
            axes=stated(Rounds, given, "axes"),
        )


def observations_of(entry: Config) -> list[str]:
    """Return the observations that a campaign's rounds are about."""
    named = entry["rounds"].get("observation", list(entry.get("observations", {})))
    return [named] if isinstance(named, str) else list(named)


def fewer(name: str, config: Config, at_most: int) -> dict[str, Any]:
    """Return what of the entry of a campaign says of its observations and rounds, here fewer.

    Args:
        name: Of the campaign.
        config: The configuration.
        at_most: How many rounds, the last one counted; 1 is none.
    """
    entry = config["campaigns"][name]
    if at_most == 1:
        return {"observations": entry["observations"]}
    chain = next(chains_about(name, entry, config))
    sizes = (*chain.sizes, *[chain.sizes[-1]] * at_most)[: at_most - 1]
    given = {**entry["rounds"], "estimator": chain.estimator, "simulations": list(sizes)}
    given["at_most"] = at_most
    return {"rounds": given, "observations": entry["observations"]}


def sizes_of(entry: Config) -> tuple[int, ...]:
    """Return the simulations of each round before the last."""
    given = entry["rounds"]
    rows: int = entry["simulations"]
    sizes = given.get("simulations", min(rows, max(FEWEST, rows // 5)))
    if isinstance(sizes, int):
        return (sizes,) * (stated(Rounds, given, "at_most") - 1)
    return tuple(sizes)


def _first(entry: Config, config: Config) -> str:
    return str(entry.get("estimators", list(config["estimators"]))[0])


def with_rounds(
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


def _known(chain: RoundChain, boxes: Mapping[str, KnownBox]) -> Iterator[tuple[str, Round]]:
    """Yield the rounds after the first whose boxes are known, the last one of them or not."""
    earlier, found = [chain.name(1)], list[KnownBox]()
    for number in range(2, chain.at_most + 1):
        name = chain.name(number)
        place: dict[str, Any] = {"number": number, "earlier": tuple(earlier)}
        if name not in boxes:
            waiting = Round((chain,), boxes=tuple(found), is_last=True, waits_for=name, **place)
            yield chain.last, waiting
            return
        found.append(boxes[name])
        place["boxes"] = tuple(found)
        if number == chain.at_most or _stops(chain, *found[-2:]):
            yield chain.last, Round((chain,), is_last=True, **place)
            return
        yield name, Round((chain,), **place)
        earlier.append(name)


def _stops(chain: RoundChain, *found: KnownBox) -> bool:
    """Say whether a box is the last: it hardly shrank, or its posterior tells no more."""
    *before, box = found
    if box.is_wider:
        return False
    if box.ratio > chain.shrink or not before:
        return box.ratio > chain.shrink
    return box.information - before[0].information < AS_INFORMATIVE * len(cut_by(box.faces))


def _entry(entry: Config, each: Round) -> dict[str, Any]:
    """Return the entry of the campaign that a round is."""
    chain = each.chains[0]
    about = [one.observation for one in each.chains]
    observations = {name: entry["observations"][name] for name in about}
    if each.is_last:
        own = {"held_out": chain.last} if "held_out" in entry else {}
        return {**entry, "observations": observations, **own}
    kept = {key: value for key, value in entry.items() if key not in UNUSED}
    return {
        **kept,
        "observations": observations,
        "estimators": [chain.estimator],
        "simulations": chain.sizes[each.number - 1],
    }
