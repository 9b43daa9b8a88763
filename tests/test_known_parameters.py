"""Known parameters in a configuration: what is refused while planning, and what is in which key."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sbi_pipeline import study
from sbi_pipeline.study import Plan

TESTS = Path(__file__).parent
ROLES = "    nuisance_parameters: [offset, scatter]\n"
KNOWN = "    nuisance_parameters: [scatter]\n    known_parameters: [offset]\n"
MOCK = "      mock: {parameters: {slope: 0.5}}\n"
TINY = (TESTS / "config.yaml").read_text()
OFFSET = {"nuisance_parameters": ["scatter"], "known_parameters": ["offset"]}
WITH_KNOWN = TINY.replace(ROLES, KNOWN)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder that holds a simulator and observations."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(TESTS))
    np.savetxt("good.csv", [1.0, 2.0, 3.0, 4.0])
    np.savetxt("sets.csv", np.ones((3, 4)), delimiter=",")
    np.savetxt("offsets.txt", [0.1, 0.2, 0.3])
    Path("stars.csv").write_text("name,a,b,c,d,t\nsun,1,2,3,4,0.5\nvega,1,2,3,4,0.5\n")


def observed(entry: str) -> str:
    return WITH_KNOWN.replace(MOCK, f"      mock: {entry} # !\n")


def roles(lines: str) -> str:
    return TINY.replace(ROLES, "".join(f"    {line}\n" for line in lines.split("; ")))


def of_events(entry: str) -> str:
    lines = KNOWN + "    events: true\n    nuisance_scope: event\n    estimators: [nle]\n"
    return TINY.replace(ROLES, lines).replace(MOCK, f"      mock: {entry} # !\n")


def load(text: str) -> Any:
    Path("config.yaml").write_text(text)
    return study.load_configuration(["config.yaml"])


REFUSED = [
    (
        roles("nuisance_parameters: [offset, scatter]; known_parameters: [offset]"),
        "is both nuisance",
    ),
    (
        roles("nuisance_parameters: [offset, scatter]; known_parameters: [slope]"),
        "'slope' is both inferred and known; wanted one of the two",
    ),
    (
        roles("nuisance_parameters: [scatter]; known_parameters: [ofset]"),
        "known_parameters: 'ofset' is not a parameter of the simulator; did you mean 'offset'",
    ),
    (
        roles("nuisance_parameters: [scatter]"),
        "'offset' is in none of inferred_parameters, nuisance_parameters and known_parameters",
    ),
    (
        WITH_KNOWN.replace("min: -1, max: 1", "min: -1, max: 2 + slope"),
        "known_parameters: 'offset' is kept but its prior depends on 'slope'",
    ),
    (observed("{file: good.csv}"), "mock: the value of 'offset' is not given"),
    (observed("{file: good.csv, known: {}}"), "mock.known: the value of 'offset' is not given"),
    (
        observed("{file: good.csv, known: {offset: 3}}"),
        "known: known offset = 3 lies outside its prior, where nothing is learnt: widen the prior",
    ),
    (observed("{file: good.csv, truth: {offset: 3}}"), "truth.offset: got 3; its prior reaches"),
    (
        observed("{file: good.csv, known: {offset: 0, scatter: 1}}"),
        "'scatter' is given as known, and known parameters are offset",
    ),
    (observed("{file: good.csv, known: {offset: [0, 1]}}"), r"offset is \[0.*\]; wanted a number"),
    (observed("{file: good.csv, known: {offset: t}}"), "offset is 't'; wanted a number; lists and"),
    (observed("{parameters: {}, known: {slope: 1}}"), "'slope' is given as known"),
    (
        observed("{parameters: {offset: 0.1}, known: {offset: 0.1}}"),
        "'offset' is in 'parameters' as well; give it once",
    ),
    (observed("{table: stars.csv, name: name}"), "the value of 'offset' is not given"),
    (
        observed("{table: stars.csv, name: name, known: {offset: time}}"),
        "no column 'time' .the known offset.",
    ),
    (
        observed("{table: stars.csv, name: name, known: {offset: 2}}"),
        "known offset = 2 lies outside its prior",
    ),
    (
        observed("{table: stars.csv, name: name, truth: {offset: t}}"),
        "'offset' is known of every object; name its column under 'known'",
    ),
    (of_events("{file: sets.csv, known: {offset: [0, 1]}}"), r"2 values; wanted one, or .*\(3,"),
    (of_events("{file: sets.csv}"), "the value of 'offset' is not given"),
    (
        TINY.replace(MOCK, "      mock: {file: good.csv, known: {offset: 0}} # !\n"),
        "'offset' is given as known, and known parameters are none",
    ),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_makes_no_sense_is_one_line(text: str, message: str) -> None:
    with pytest.raises(study.ConfigurationError) as caught:
        load(text)
    said = str(caught.value)
    assert re.search(message, said)
    for number, line in enumerate(text.splitlines(), 1):
        if line.endswith("# !"):
            assert f"config.yaml:{number}: " in said


@pytest.mark.parametrize(
    "text",
    [
        observed("{file: good.csv, known: {offset: 0.3}}"),
        observed("{file: good.csv, truth: {offset: 0.3}}"),  # true is what it is known to be
        observed("{parameters: {slope: 0.5}}"),
        observed("{parameters: {offset: 0.5}}"),
        observed("{table: stars.csv, name: name, known: {offset: t}}"),
        observed("{table: stars.csv, name: name, columns: [a, b, c, d], known: {offset: 0.1}}"),
        of_events("{file: sets.csv, known: {offset: 0.1}}"),
        of_events("{file: sets.csv, known: {offset: [0, 0.5, 1]}}"),
        of_events("{file: sets.csv, known: {offset: offsets.txt}}"),
        of_events("{parameters: {slope: 1}, events: 5}"),
    ],
)
def test_what_makes_sense_is_taken(text: str) -> None:
    load(text)


def plan(change: dict[str, Any], **observation: Any) -> Plan:
    config = copy.deepcopy(yaml.safe_load(TINY))
    config["campaigns"]["tiny"] |= change
    if observation:
        config["campaigns"]["tiny"]["observations"] = {"mock": observation}
    return Plan(config)


def test_roles_are_no_part_of_the_simulations_but_of_what_learns() -> None:
    nuisance, known = (
        plan({}),
        plan({"nuisance_parameters": ["scatter"], "known_parameters": ["offset"]}),
    )
    assert list(nuisance.simulations) == list(known.simulations)
    for name in ("npe/train", "npe/calibrate", "observations/mock", "learn_nuisances"):
        path = f"results/tiny/{name}.spec.json"
        assert nuisance[path].key != known[path].key
    arguments = known["results/tiny/npe/train.spec.json"].arguments
    assert arguments["inferred_parameters"] == ["slope"]
    assert arguments["known_parameters"] == ["offset"]


def test_what_is_stored_without_nuisances_are_inferred_and_known() -> None:
    (made,) = plan({**OFFSET, "store_nuisance": False}).simulations.values()
    assert made.spec.arguments["keep"] == ["slope", "offset"]


def test_another_known_value_is_another_observation_of_the_same_estimator() -> None:
    one, other = (plan(OFFSET, file="good.csv", known={"offset": value}) for value in (0.1, 0.2))
    train, observe = "results/tiny/npe/train.spec.json", "results/tiny/observations/mock.spec.json"
    assert one[train].key == other[train].key
    assert one[observe].key != other[observe].key
    assert one[observe].arguments["known"] == {"offset": 0.1}


def test_without_known_parameters_no_key_tells_of_them() -> None:
    for path, spec in plan({}, table="stars.csv", name="name", columns=list("abcd")).items():
        assert "known" not in str(spec.arguments), path
