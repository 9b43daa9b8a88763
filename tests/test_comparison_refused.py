"""Comparisons of models that make no sense are refused while they are planned."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sbi_pipeline import study

TEXT = Path(__file__).with_name("comparison.yaml").read_text()
CONFIG = yaml.safe_load(TEXT)
MODELS = "    models: {broad: wide, thin: narrow}\n"
ODDS = "    odds: {broad: 2}\n"
WIDE = "    simulator: linear_gaussian\n    simulations: 400\n    seed: 1\n"
SEEN = "theta_1: 0.5, theta_2: -0.5}, seed: 3}\n  narrow:"


def models(given: str) -> tuple[str, str]:
    return MODELS, f"    models: {given} # !\n"


def entry(line: str) -> tuple[str, str]:
    return ODDS, f"    {line} # !\n"


def wide(line: str) -> tuple[str, str]:
    """Write a line into the campaign ``wide``; what is refused is the model that it is."""
    return (
        f"{WIDE}@{MODELS}",
        f"{WIDE}    {line}\n@    models:\n      thin: narrow\n      broad: wide # !\n",
    )


REFUSED = [
    (models("{broad: wide}"), r"models: got 1; wanted two campaigns or more"),
    (models("{broad: wide, thin: narow}"), r"'narow' is not among .*did you mean 'narrow'"),
    (models("{broad: wide, thin: wide}"), r"models.thin: 'wide' is 'broad' already"),
    (models("{broad: wide, broad_error: narrow}"), r"broad_error: tables have a column of that"),
    (models("{broad: wide, 2: narrow}"), r"models.2: got '2'; wanted a name of letters"),
    (entry("odds: {braod: 2}"), r"odds.braod: 'braod' is not among .*did you mean 'broad'"),
    (entry("odds: {broad: 0}"), r"odds.broad: got 0; wanted a number above 0"),
    (entry("observations: [mok]"), r"observations\[0\]: 'mok' is no observation of 'broad'"),
    (entry("observations: [own]"), r"'own' is no observation of 'broad'; all have mock"),
    (entry("catalogues: [mock]"), r"catalogues\[0\]: 'mock' of 'broad' is none; wanted it under"),
    (entry("observation: [mock]"), r"unknown key; did you mean 'observations'"),
    (entry("network: {embedding: cnn2d}"), r"network: x has shape \(6,\); a 2-d convolution"),
    (entry("network: {columns: [0, 9]}"), r"network: columns has 9; x has 6 elements"),
    (entry("nuisance_draws: 0"), r"nuisance_draws: got 0; wanted a whole number of at least 1"),
    (("  width:\n", "  wide: # !\n"), r"comparisons.wide: a campaign has this name too"),
    (("  width:\n", "  npe: # !\n"), r"comparisons.npe: an estimator has this name too"),
    (("  width:\n", "  narrower: # !\n"), r"narrower: a refined posterior has this name too"),
    (wide("options: {x_dim: 4}"), r"data have the shapes \(6,\) and \(4,\)|\(4,\) and \(6,\)"),
    (wide("options: {noise_at_load: true}"), r"noise is drawn at load in one alone"),
    (wide("missing: {probability: 0.1}"), r"'missing' differs in 'broad' and in 'thin'"),
    (
        (f"{SEEN}@  width:\n", "theta_1: 0.5, theta_2: -0.4}, seed: 3}\n  narrow:@  width: # !\n"),
        r"'mock' is not the same data in 'broad' and 'thin': each campaign simulates its own",
    ),
    (
        (f"{SEEN}@  width:\n", "theta_1: 0.5, theta_2: -0.5}, seed: 4}\n  narrow:@  width: # !\n"),
        r"'mock' is not the same data",
    ),
    (
        ("mock: {parameters: {theta_1: 0.5, theta_2: -0.5}, seed: 3}\n  narrow:@  width:\n",
         "other: {parameters: {theta_1: 0.5}}\n  narrow:@  width: # !\n"),
        r"comparisons.width: its campaigns share no observation",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("change", "problem"), REFUSED, ids=range(len(REFUSED)))
def test_what_makes_no_sense_is_refused_with_its_line(
    change: tuple[str, str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = TEXT
    for old, new in zip(*(each.split("@") for each in change), strict=True):
        assert text.count(old) == 1
        text = text.replace(old, new)
    Path("bad.yaml").write_text(text)
    (line,) = (number for number, each in enumerate(text.splitlines(), 1) if "# !" in each)
    with pytest.raises(study.ConfigurationError) as error:
        study.load_configuration(["bad.yaml"])
    (told,) = str(error.value).splitlines()
    assert told.startswith(f"bad.yaml:{line}: comparisons."), told
    assert re.search(problem, told), told


def refused(change: Callable[[Any], Any]) -> str:
    config = copy.deepcopy(CONFIG)
    change(config)
    with pytest.raises(ValueError, match=r"comparisons\.") as error:
        study.take_configuration(config)
    return str(error.value)


def test_members_of_sweeps_and_rounds_are_no_models() -> None:
    def with_sweep(config: Any) -> None:
        config["sweeps"] = {"size": {"campaign": "wide", "simulations": [200, 400]}}
        config["comparisons"]["width"]["models"]["broad"] = "size_200"

    assert "broad: 'size_200' is of the sweep 'size'; wanted a campaign" in refused(with_sweep)

    def with_rounds(config: Any) -> None:
        config["campaigns"]["wide"]["rounds"] = {"simulations": 200}
        config["comparisons"]["width"]["models"]["broad"] = "wide_round_1"

    assert "'wide_round_1' is a round of 'wide'; wanted a campaign" in refused(with_rounds)


def test_events_are_no_models() -> None:
    def with_events(config: Any) -> None:
        for each in config["campaigns"].values():
            each |= {"events": True, "estimators": ["nle"]}
            each["observations"] = {"mock": {"parameters": {"theta_1": 1}, "events": 3}}
        del config["refine"]

    assert "'wide' has events, and one row of it is one of them" in refused(with_events)


def test_a_sweep_makes_nothing_that_is_called_like_a_comparison() -> None:
    config = copy.deepcopy(CONFIG)
    config["sweeps"] = {"size": {"campaign": "wide", "simulations": [200, 400]}}
    config["comparisons"]["size_200"] = config["comparisons"].pop("width")
    with pytest.raises(ValueError, match="size_200"):
        study.take_configuration(config)


def test_files_are_compared_by_their_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("1,2,3,4,5,6\n")
    Path("b.csv").write_text("1.0,2.0,3,4,5,6\n")
    Path("c.csv").write_text("1,2,3,4,5,7\n")
    config = copy.deepcopy(CONFIG)
    seen = [each["observations"] for each in config["campaigns"].values()]
    for observations, file in zip(seen, ("a.csv", "b.csv"), strict=True):
        observations["mock"] = {"file": file}
    study.take_configuration(config)
    seen[1]["mock"] = {"file": "c.csv"}
    with pytest.raises(ValueError, match=r"'mock' is not the same data .* the files differ"):
        study.take_configuration(config)
