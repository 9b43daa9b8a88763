"""Bad configurations end in one clear line: where, what, and what was expected."""

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

from sbi_pipeline import observations, study
from sbi_pipeline.stages import job
from sbi_pipeline.stages.simulations import observe
from sbi_pipeline.study import configuration

ROOT = Path(__file__).parents[1]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
TINY = yaml.safe_load((ROOT / "tests/config.yaml").read_text())


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder that holds one bad and one good observation."""
    monkeypatch.chdir(tmp_path)
    np.savetxt("nan.csv", [1.0, np.nan, 2.0])
    np.savetxt("good.csv", [1.0, 2.0, 3.0, 4.0])


def changed(change: Callable[[Any], Any]) -> Any:
    config = copy.deepcopy(TINY)
    change(config["campaigns"]["tiny"])
    return config


def update(**entries: Any) -> Callable[[Any], Any]:
    return lambda campaign: campaign.update(entries)


def prior(name: str, **entry: Any) -> Callable[[Any], Any]:
    return lambda campaign: campaign["priors"].update({name: entry})


def test_the_studies_of_the_repository_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    files = [ROOT / "config/config.yaml", *(ROOT / "config/studies").glob("*.yaml")]
    for path in files:
        config = yaml.safe_load(path.read_text())
        configuration.check(config, SCHEMA)
        assert len(study.Plan(config))
    configuration.check(TINY, SCHEMA)


NORMAL = {"type": "normal", "mean": 0, "sd": 1}
BAD = [
    (update(simulatoor="x"), "campaigns.tiny: unknown key 'simulatoor'; wanted one of .*simulator"),
    (update(simulations="many"), "campaigns.tiny.simulations: 'many' is not of type 'integer'"),
    (update(simulations=-5), "campaigns.tiny.simulations: -5 is less than"),
    (prior("slope", type="gauss"), "priors.slope.*gauss"),
    (prior("offset", type="uniform", min=1, max=1), "tiny: prior of 'offset'.*wanted min < max"),
    (prior("ofset", **NORMAL), "a prior for 'ofset', which the simulator does not know; .*offset"),
    (
        prior("slope", type="normal", mean="offset", sd=1),
        "priors.slope: depends on 'offset', which is not written before it",
    ),
    (prior("slope", type="normal", mean="__import__('os')", sd=1), "tiny: .*not understood"),
    (
        update(inferred_parameters=["slope", "offset"]),
        "'offset' is both inferred and nuisance",
    ),
    (
        update(nuisance_parameters=["offset"]),
        "'scatter' is neither in inferred_parameters nor in nuisance_parameters",
    ),
    (
        update(inferred_parameters=["slop"], nuisance_parameters=["slope", "offset", "scatter"]),
        "'slop' is not a parameter of the simulator; it has slope, offset, scatter",
    ),
    (update(simulator="no_module:Tiny"), "tiny: 'no_module:Tiny': importing 'no_module' failed"),
    (update(simulator="tiny:Tny"), "'tiny:Tny': .*tiny.py has no 'Tny'"),
    (update(simulator="tyni"), "'tyni' is not known; write one of influenza, .*my_module:MyClass"),
    (update(options={"width": 3}), "options of simulator 'tiny:Tiny': .*"),
    (update(observations={"o": {"file": "none.csv"}}), "observation none.csv: no such file"),
    (update(observations={"o": {"file": "nan.csv"}}), "nan.csv is NaN or infinite, first at.*1"),
    (update(observations={"o": {"parameters": {"slpe": 1}}}), "'slpe' is none of slope, offset"),
    (
        update(observations={"o": {"file": "good.csv", "parameters": {"slope": 1}}}),
        "wanted either 'file' or 'parameters'",
    ),
    (
        update(observations={"o": {"file": "good.csv", "truth": {"slpe": 1}}}),
        "o.truth: 'slpe' is none of slope, offset",
    ),
    (
        update(observations={"o": {"parameters": {"slope": 1}, "truth": {"slope": 1}}}),
        "'truth' is for a file",
    ),
    (
        update(derived_parameters={"twice": {"expression": "2 * offset"}}),
        "twice: 'offset' is not inferred",
    ),
    (update(estimators=["npf"]), "estimators: 'npf' is not among npe, nle"),
    (update(shard_size=150), "shard_size 150 is no multiple of block_size 100"),
    (
        lambda c: c["priors"].update(slope={"type": "bernoulli", "probability": 0.5}),
        "'slope' is discrete",
    ),
    (
        lambda c: (
            c["priors"].update(
                scatter={"type": "halfnormal", "sd": 0.3},
                offset=NORMAL,
            )
            or c.update(
                priors={"scatter": {"type": "halfnormal", "sd": 1}, "offset": NORMAL}
                | {"slope": {"type": "normal", "mean": "offset", "sd": 1}}
            )
        ),
        "'slope' is kept but its prior depends on 'offset', which is dropped",
    ),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_one_clear_line(change: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        configuration.check(changed(change), SCHEMA)
    assert "\n" not in str(caught.value)


def test_patterns_stand_for_many_parameters() -> None:
    several = changed(update(nuisance_parameters=["*off*", "scat*"]))
    configuration.check(several, SCHEMA)
    planned = study.Plan(several)["results/tiny/report.spec.json"]
    described = planned.arguments["parameters"]
    assert [each["name"] for each in described] == ["slope", "*off*", "scat*"]
    with pytest.raises(ValueError, match="'sets_\\*' is not a parameter of the simulator"):
        configuration.check(changed(update(nuisance_parameters=["*t*", "sets_*"])), SCHEMA)


@pytest.mark.parametrize(
    ("proposal", "message"),
    [
        ("npo", r"estimators.nle.sampler.proposal: 'npo' is not trained here; wanted one of npe"),
        ("nle", r"estimators.nle.sampler.proposal: 'nle' \(nle\) does not give draws with their"),
    ],
)
def test_bad_proposals_are_refused(proposal: str, message: str) -> None:
    config = copy.deepcopy(TINY)
    config["estimators"]["nle"]["sampler"]["proposal"] = proposal
    with pytest.raises(ValueError, match=message):
        configuration.check(config, SCHEMA)


def kind(campaign: Any) -> None:
    """Infer a discrete parameter too."""
    campaign["priors"]["offset"] = {"type": "bernoulli", "probability": 0.5}
    campaign.update(inferred_parameters=["slope", "offset"], nuisance_parameters=["scatter"])


def events(**entries: Any) -> Callable[[Any], Any]:
    some = {"events": True, "estimators": ["nle"], "nuisance_scope": "event", "observations": {}}
    return update(**{**some, **entries})


def test_discrete_parameters_and_events_need_nle_or_nre() -> None:
    config = changed(kind)
    message = r"'offset' is discrete, and 'npe' .npe. learns densities of continuous parameters"
    with pytest.raises(ValueError, match=message):
        configuration.check(config, SCHEMA)
    config["campaigns"]["tiny"]["estimators"] = ["nle"]
    configuration.check(config, SCHEMA)
    config["campaigns"]["tiny"]["estimators"] = ["npe", "nle"]
    config["campaigns"]["tiny"].update(events=True, observations={})
    with pytest.raises(ValueError, match="'offset' is discrete"):
        configuration.check(config, SCHEMA)
    with pytest.raises(ValueError, match="posteriors of single events cannot be multiplied"):
        configuration.check(changed(events(estimators=["npe"])), SCHEMA)


def test_nuisances_of_events_must_say_their_scope() -> None:
    configuration.check(changed(events()), SCHEMA)
    with pytest.raises(ValueError, match="offset, scatter is shared by all events of a data set"):
        configuration.check(changed(events(nuisance_scope="dataset")), SCHEMA)
    config = changed(events())
    del config["campaigns"]["tiny"]["nuisance_scope"]
    with pytest.raises(ValueError, match="is offset, scatter drawn anew for every event"):
        configuration.check(config, SCHEMA)


def test_observations_of_events_say_how_many() -> None:
    mock = {"parameters": {"slope": 0.5}}
    with pytest.raises(ValueError, match=r"observations.mock: 'events' says how many to simulate"):
        configuration.check(changed(events(observations={"mock": mock})), SCHEMA)
    with pytest.raises(ValueError, match=r"observations.mock: 'events' says how many to simulate"):
        configuration.check(changed(update(observations={"mock": {**mock, "events": 3}})), SCHEMA)
    configuration.check(changed(events(observations={"mock": {**mock, "events": 3}})), SCHEMA)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"proposal": "nle", "likelihood": "exact"}, "draws of 'nle' .nle. have no known density"),
        ({"proposal": "npe", "likelihood": "npe"}, "'npe' is no estimator of a likelihood trained"),
        ({"proposal": "npe"}, "refine.better: wanted a likelihood, priors, or both"),
        (
            {"proposal": "npe", "priors": {"offset": NORMAL}},
            "refine.better.priors: 'offset' is not inferred; .* for slope only",
        ),
        (
            {"proposal": "npe", "priors": {"slope": {"type": "normal", "mean": 0}}},
            "refine.better.priors: prior of 'slope': got mean; a normal prior wants mean, sd",
        ),
    ],
)
def test_refinements_that_make_no_sense(entry: Any, message: str) -> None:
    config = copy.deepcopy(TINY)
    config["refine"] = {"better": entry}
    with pytest.raises(ValueError, match=message):
        configuration.check(config, SCHEMA)


def test_wider_priors_are_refused_before_anything_runs() -> None:
    config = changed(prior("slope", type="uniform", min=-1, max=1))
    config["refine"] = {"other": {"proposal": "npe", "priors": {"slope": NORMAL}}}
    with pytest.raises(ValueError, match="the new prior of 'slope' reaches from -inf to inf"):
        configuration.check(config, SCHEMA)


def test_proposals_in_calibration_are_refused() -> None:
    config = copy.deepcopy(TINY)
    config["calibration"]["sampler"]["proposal"] = "npe"
    with pytest.raises(ValueError, match=r"calibration.sampler: proposals are for observations"):
        configuration.check(config, SCHEMA)


def test_every_problem_of_form_is_listed() -> None:
    config = changed(update(simulations=0, colour="red"))
    with pytest.raises(ValueError, match=r"simulations: 0 is .*\n.*colour"):
        configuration.check(config, SCHEMA)


def test_names_that_are_folders_of_ours_are_refused() -> None:
    config = copy.deepcopy(TINY)
    config["campaigns"]["simulations"] = config["campaigns"].pop("tiny")
    with pytest.raises(ValueError, match="simulations"):
        configuration.check(config, SCHEMA)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", "# in mJy\nflux\n1\n2\n", [1, 2]),
        ("a.csv", "1,2\n3,4\n", [[1, 2], [3, 4]]),
        ("a.txt", "1.5 2.5\n3.5 4.5\n", [[1.5, 2.5], [3.5, 4.5]]),
        ("a.csv", "time,flux\n0,1\n1,5\n", [[0, 1], [1, 5]]),
    ],
)
def test_observations_are_read(tmp_path: Path, name: str, text: str, expected: Any) -> None:
    (tmp_path / name).write_text(text)
    np.testing.assert_array_equal(observations.read(tmp_path / name), expected)


def test_observations_of_numpy_are_read_and_text_is_refused(tmp_path: Path) -> None:
    np.save("a.npy", np.arange(6).reshape(2, 3))
    np.savez("a.npz", x=np.arange(3))
    assert observations.read("a.npy").shape == (2, 3)
    assert observations.read("a.npz").shape == (3,)
    (tmp_path / "words.csv").write_text("flux\nbright\n")
    with pytest.raises(ValueError, match="wanted numbers"):
        observations.read("words.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match=r"empty\.csv"):
        observations.read("empty.csv")


def test_the_truth_of_a_file_may_be_known_in_part(tmp_path: Path) -> None:
    entry = {"file": "good.csv", "truth": {"slope": 1.5}}
    config = changed(update(observations={"mock": entry}))
    spec = study.Plan(config)["results/tiny/observations/mock.spec.json"]
    given = {"observation": tmp_path / "mock.nc", **spec.arguments}
    observe(**job.bound(observe, given, {"key": spec.key}))
    with xr.open_dataset(tmp_path / "mock.nc", engine="h5netcdf") as data:
        np.testing.assert_array_equal(data["x"], [1, 2, 3, 4])
        np.testing.assert_array_equal(data["truth"], [1.5, np.nan, np.nan])


def test_snakemake_ends_in_that_line_alone(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(changed(update(simulatoor="x"))))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "snakemake",
            "-s",
            str(ROOT / "Snakefile"),
            "--configfile",
            "bad.yaml",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("campaigns.tiny: unknown key 'simulatoor'")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()
