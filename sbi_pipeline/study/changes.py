"""What would run, and why: the specifications on disk against those planned, in words.

A specification lies beside the result that was made with it, so this needs neither Snakemake's
records nor the machine that a result was made on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..sidecars import outdated, read_if_whole
from .places import RESULTS, ROW_STORES
from .plan import DRAWS, Plan, specification_of
from .specification import Specification

Content = Mapping[str, Any]
NOT_MADE = "not made yet"
EARLIER = "made by an earlier version of sbi_pipeline, whose specifications have another form"
OF_ROWS = "simulations: "
ANEW = "its simulations are made anew"
ABSENT = object()
SEVERAL = 5
"""Names that are told, of more how many."""
SHORT = 60
"""Characters of a value that is told whole."""


@dataclass(frozen=True)
class Change:
    """A result that is not what the plan wants.

    Attributes:
        stage: What makes it.
        where: Its folder below ``results``, or its name.
        reasons: Why it is made, in words.
    """

    stage: str
    where: str
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{f'{self.stage} {self.where}'.strip()}: {'; '.join(self.reasons)}"


def changes(plan: Plan, targets: Sequence[str] = ()) -> Iterator[Change]:
    """Yield what is not there as planned, inputs before what is made of them.

    Args:
        plan: The plan.
        targets: Files or folders below ``results``: only what they are made of; none for all.

    Raises:
        ValueError: A target is none of the plan's.
    """
    again: set[str] = set()  # keys of results that are made again as they were
    rows: dict[str, str] = {}  # what is changed of simulations, by the key of their manifest
    for path in _wanted(plan, targets):
        planned, there = plan[path], read_if_whole(Path(path))
        if plan.is_left_out(path) and plan.is_made(path):
            continue
        if waits_for := plan.waits_for(path):
            yield Change(planned.stage, _place(path), (f"waits for the box of {waits_for}",))
            continue
        gone = list(_deleted(path, there or {}))
        reasons = [*_readable(path, there), *differences(there, planned), *gone]
        reasons = _of_simulations(plan, path, there, reasons)
        if planned.stage == "manifest":
            rows[planned.key] = "; ".join(each.removeprefix(OF_ROWS) for each in reasons)
        if changed := rows.get(planned.inputs.get("simulations", "")):
            reasons = [f"its {OF_ROWS}{changed}" if each == ANEW else each for each in reasons]
        if not reasons:
            since = [f"{plan[each].stage} {_place(each)}" for each in outdated(there or {})]
            reasons = [f"{each} was made anew since" for each in since]
        if not reasons:
            follows = [name for name, key in planned.inputs.items() if key in again]
            reasons = [f"its {name} {_is(name)} made anew" for name in follows]
            gone = follows
        if gone:
            again.add(planned.key)
        if reasons:
            yield Change(planned.stage, _place(path), tuple(_telling(reasons)))


def _of_simulations(plan: Plan, path: str, there: Content | None, reasons: list[str]) -> list[str]:
    """Return reasons with what is to be said of simulations, of a shard or of a manifest."""
    stage = plan[path].stage
    if stage in ROW_STORES and reasons == [NOT_MADE]:
        return list(dict.fromkeys(_other_simulations(plan, path))) or reasons
    if stage != "manifest" or there is None:
        return reasons
    reasons = reasons + [f"{OF_ROWS}{each}" for each in _simulations_differ(plan, path, there)]
    return reasons or ([] if plan.is_made(path) else ["a shard of it was deleted"])


def _telling(reasons: Sequence[str]) -> list[str]:
    """Leave out what only repeats the rest: the text of the configuration on a page."""
    rest = [each for each in reasons if each != "configuration changed"]
    return rest or list(reasons)


def _readable(path: str, there: Content | None) -> Iterator[str]:
    if there is None and Path(path).exists():
        yield "its specification cannot be read"


def _deleted(path: str, there: Content) -> Iterator[str]:
    """Yield which results that a specification lies beside are gone."""
    store = [DRAWS] if there.get("stage") == "infer" else []
    for name in [*there.get("outputs", []), *store]:
        if not Path(path).with_name(name).exists():
            yield f"{name} is gone"


def differences(there: Content | None, planned: Specification) -> Iterator[str]:
    """Yield, in words, what differs between a specification on disk and the one planned."""
    if there is None:
        yield NOT_MADE
        return
    if there.get("stage") != planned.stage:
        yield EARLIER
        return
    wanted = json.loads(json.dumps(planned.content))  # as it would lie there
    yield from _versions(there["versions"], wanted["versions"])
    yield from _contents(there["contents"], wanted["contents"])
    yield from _values("", there["arguments"], wanted["arguments"])
    yield from _inputs(there["inputs"], wanted["inputs"])


def _versions(old: Content, new: Content) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield f"{name}: version {old.get(name, 'none')} → {new.get(name, 'none')}"


def _contents(old: Content, new: Content) -> Iterator[str]:
    """Yield which code or file of the user's changed."""
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            every = sorted({*before, *after})
            for what, edited in _edited(before, after, every).items():
                more = f" and {len(edited) - SEVERAL} more" if len(edited) > SEVERAL else ""
                yield f"{name}: {', '.join(edited[:SEVERAL])}{more} {what}"
        elif before is None or after is None:
            yield f"{name} is {'new' if before is None else 'gone'}"
        else:
            yield f"{name} changed"


def _edited(old: Content, new: Content, names: Sequence[str]) -> dict[str, list[str]]:
    """Return which modules or files are new, gone or edited, by what happened to them."""
    found: dict[str, list[str]] = {}
    for name in names:
        if old.get(name) != new.get(name):
            what = "is new" if name not in old else "is gone" if name not in new else "was edited"
            found.setdefault(what, []).append(name)
    return found


def _inputs(old: Content, new: Content) -> Iterator[str]:
    for name in [*new, *sorted(set(old) - set(new))]:
        if name not in old:
            yield f"{name} is new"
        elif name not in new:
            yield f"{name} is gone"
        elif old[name] != new[name]:
            yield f"its {name} {_is(name)} made anew"


def _is(name: str) -> str:
    things = name.partition(" of ")[0].rstrip(" 0123456789")
    return "are" if things.endswith("s") else "is"


def _values(where: str, old: Any, new: Any) -> Iterator[str]:
    """Yield each value that differs, by its place."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            inner = f"{where}.{key}".lstrip(".")
            yield from _values(inner, old.get(key, ABSENT), new.get(key, ABSENT))
    elif _of_mappings(old) and _of_mappings(new) and len(old) == len(new):
        for number, pair in enumerate(zip(old, new, strict=True)):
            yield from _values(f"{where}[{number}]", *pair)
    elif old != new:
        told = [_told(each) for each in (old, new)]
        long = max(map(len, told)) > SHORT
        yield f"{where} changed" if long else f"{where} {told[0]} → {told[1]}"


def _of_mappings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, Mapping) for each in value)


def _told(value: Any) -> str:
    if value is ABSENT:
        return "default"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _simulations_differ(plan: Plan, path: str, there: Content) -> Iterator[str]:
    """Yield why a campaign's simulations are not those that a manifest on disk lists."""
    (campaign,) = (each for each in plan.campaigns.values() if path in each)
    listed = there.get("arguments", {}).get("store", there.get("store", ""))
    folder = Path(path).parent / listed
    names = ("prior-0.spec.json", "shard-0.spec.json")  # imported rows have the second alone
    before = next(filter(None, (read_if_whole(folder / name) for name in names)), None)
    if before is None or "arguments" not in before:
        return
    known = campaign.simulations.spec.arguments
    asked = {key: value for key, value in before["arguments"].items() if key in known}
    stage_name = campaign.simulations.spec.stage
    found = {**before, "stage": stage_name, "arguments": asked, "inputs": {}}
    yield from differences(found, campaign.simulations.spec)


def _other_simulations(plan: Plan, path: str) -> Iterator[str]:
    """Yield why a shard is simulated whose campaigns had other simulations before."""
    for campaign in plan.campaigns.values():
        if Path(path).parent == Path(campaign.simulations.folder):
            manifest = f"{RESULTS}/{campaign.name}/manifest.spec.json"
            there = read_if_whole(Path(manifest))
            if there is not None:
                yield from _simulations_differ(plan, manifest, there)


def _wanted(plan: Plan, targets: Sequence[str]) -> list[str]:
    """Return the paths of the specifications that the targets are made with."""
    if not targets:
        return list(plan)
    by_key: dict[str, list[str]] = {}
    for path in plan:
        by_key.setdefault(plan[path].key, []).append(path)
    waiting = [path for target in targets for path in _beside(plan, target)]
    wanted: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path not in wanted:
            wanted.add(path)
            waiting += [each for key in plan[path].inputs.values() for each in by_key.get(key, ())]
            if waits_for := plan.waits_for(path):
                waiting.append(str(specification_of(waits_for)))
    return [path for path in plan if path in wanted]


def _beside(plan: Plan, target: str) -> list[str]:
    """Return the specifications that lie beside a file, or in a folder."""
    place = Path(target)
    folder = place if place.is_dir() or not place.suffix else place.parent
    beside = [path for path in plan if Path(path).parent == folder]
    if place.parent.name == "observations":
        beside = [path for path in beside if path == str(place.with_suffix(".spec.json"))]
    if not beside:
        raise ValueError(f"{target} is nothing this configuration makes; look below {RESULTS}/")
    return beside


def _place(path: str) -> str:
    """Return in short where a specification lies."""
    place = Path(path).relative_to(RESULTS)
    if place.parts[0] == "simulations" or "observations" in place.parts:
        return str(place).removesuffix(".spec.json")
    return "" if len(place.parts) == 1 else str(place.parent)
