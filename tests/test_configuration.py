"""Bad configurations end in one clear line: where, what, and what was expected."""

import copy
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

from sbi_pipeline import study
from sbi_pipeline.observation_files import read_observation
from sbi_pipeline.stages import job
from sbi_pipeline.stages.observations import observe

ROOT = Path(__file__).parents[1]
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
        assert len(study.Plan(study.load_configuration([path])))
    study.take_configuration(TINY)


MOCK = {"parameters": {"slope": 0.5}}
ON = {"type": "bernoulli", "probability": 0.5}
NORMAL = {"type": "normal", "mean": 0, "sd": 1}


def test_patterns_stand_for_many_parameters() -> None:
    several = changed(update(nuisance_parameters=["*off*", "scat*"]))
    study.take_configuration(several)
    planned = study.Plan(several)["results/tiny/report.spec.json"]
    described = planned.arguments["parameters"]
    assert [each["name"] for each in described] == ["slope", "*off*", "scat*"]
    with pytest.raises(ValueError, match="'sets_\\*' is not a parameter of the simulator"):
        study.take_configuration(changed(update(nuisance_parameters=["*t*", "sets_*"])))


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (["npe", "npx"], r"methods\[1\]: got 'npx'; did you mean 'npe'\? wanted one of auto, npe"),
        (["npe", "npe"], "wanted a list of one or more different methods or auto"),
        (["nle"], "none of them has draws that others are reweighted from; add npe"),
    ],
)
def test_methods_of_a_portfolio_are_named(methods: list[str], message: str) -> None:
    config = copy.deepcopy(TINY)
    config["estimators"]["npe"] = {"method": "auto", "network": {"methods": ["npe", "nle"]}}
    study.take_configuration(config)
    config["estimators"]["npe"]["network"]["methods"] = methods
    with pytest.raises(ValueError, match=message):
        study.take_configuration(config)


@pytest.mark.parametrize(
    ("proposal", "message"),
    [
        ("npo", r"estimators.nle.sampler.proposal: 'npo' is not trained here; wanted auto, none"),
        ("nle", r"estimators.nle.sampler.proposal: 'nle' \(nle\) does not give draws with their"),
    ],
)
def test_bad_proposals_are_refused(proposal: str, message: str) -> None:
    config = copy.deepcopy(TINY)
    config["estimators"]["nle"]["sampler"]["proposal"] = proposal
    with pytest.raises(ValueError, match=message):
        study.take_configuration(config)


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
        study.take_configuration(config)
    config["campaigns"]["tiny"]["estimators"] = ["nle"]
    study.take_configuration(config)
    config["campaigns"]["tiny"]["estimators"] = ["npe", "nle"]
    config["campaigns"]["tiny"].update(events=True, observations={})
    with pytest.raises(ValueError, match="'offset' is discrete"):
        study.take_configuration(config)
    with pytest.raises(ValueError, match="posteriors of single events cannot be multiplied"):
        study.take_configuration(changed(events(estimators=["npe"])))


def test_estimators_of_a_sweep_suit_its_campaign() -> None:
    message = "sweeps.size.estimators: posteriors of single events cannot be multiplied, and 'npe'"
    config = changed(events())
    config["sweeps"] = {"size": {"campaign": "tiny", "estimators": ["nle"], "seeds": [1, 2]}}
    study.take_configuration(config)
    config["sweeps"]["size"]["estimators"] = ["npe"]
    with pytest.raises(ValueError, match=message):
        study.take_configuration(config)
    config = changed(kind)
    config["campaigns"]["tiny"]["estimators"] = ["nle"]
    config["sweeps"] = {"size": {"campaign": "tiny", "estimators": ["npe"]}}
    with pytest.raises(ValueError, match=r"size.estimators: 'offset' is discrete, and 'npe'"):
        study.take_configuration(config)


def test_events_have_no_names_of_data() -> None:
    with pytest.raises(ValueError, match=r"tiny.data: has no effect with events: true"):
        study.take_configuration(changed(events(data={"label": "counts"})))


def test_nuisances_of_events_must_say_their_scope() -> None:
    study.take_configuration(changed(events()))
    with pytest.raises(ValueError, match="offset, scatter is shared by all events of a data set"):
        study.take_configuration(changed(events(nuisance_scope="dataset")))
    config = changed(events())
    del config["campaigns"]["tiny"]["nuisance_scope"]
    with pytest.raises(ValueError, match="is offset, scatter drawn anew for every event"):
        study.take_configuration(config)


def test_observations_of_events_say_how_many() -> None:
    mock = {"parameters": {"slope": 0.5}}
    with pytest.raises(ValueError, match=r"observations.mock: 'events' says how many to simulate"):
        study.take_configuration(changed(events(observations={"mock": mock})))
    with pytest.raises(ValueError, match=r"observations.mock: 'events' says how many to simulate"):
        study.take_configuration(changed(update(observations={"mock": {**mock, "events": 3}})))
    study.take_configuration(changed(events(observations={"mock": {**mock, "events": 3}})))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"proposal": "nle", "likelihood": "exact"}, "draws of 'nle' .nle. have no known density"),
        ({"proposal": "npe", "likelihood": "npe"}, "'npe' is no estimator of a likelihood trained"),
        ({"proposal": "npe"}, "refine.better: wanted a likelihood, priors, or both"),
        (
            {"proposal": "npe", "recalibrate": True, "likelihood": "nle"},
            "refine.better.recalibrate: moves draws, and likelihood weighs them",
        ),
        (
            {"proposal": "npe", "priors": {"offset": NORMAL}},
            "refine.better.priors.offset: 'offset' is not inferred; .* for slope only",
        ),
        (
            {"proposal": "npe", "priors": {"slope": {"type": "normal", "mean": 0}}},
            "refine.better.priors.slope: 'sd' is missing; wanted a number above 0",
        ),
    ],
)
def test_refinements_that_make_no_sense(entry: Any, message: str) -> None:
    config = copy.deepcopy(TINY)
    config["refine"] = {"better": entry}
    with pytest.raises(ValueError, match=message):
        study.take_configuration(config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            update(split={"test": 0.02}),
            "tiny holds out 40 of 2000: raise its simulations or split.test",
        ),
        (
            update(
                priors={**TINY["campaigns"]["tiny"]["priors"], "slope": ON},
                estimators=["nle"],
                observations={},
            ),
            "'slope' is discrete, and cannot be moved by its rank alone",
        ),
        (prior("slope", type="uniform", min=0, max=360, periodic=True), "'slope' is periodic"),
        (
            lambda campaign: campaign.update(
                inferred_parameters=["slope", "offset"],
                nuisance_parameters=["scatter"],
                priors={**campaign["priors"], "offset": {**NORMAL, "mean": "slope"}},
            ),
            "'offset' is drawn from a prior that depends on another",
        ),
        (events(), "held-out simulations are single ones"),
        (
            update(observations={**dict.fromkeys("ab", MOCK), "both": {"joined": ["a", "b"]}}),
            "held-out simulations are single ones",
        ),
    ],
)
def test_recalibration_of_what_ranks_do_not_tell_is_refused(change: Any, message: str) -> None:
    config = changed(change)
    del config["calibration"]
    proposal = config["campaigns"]["tiny"].get("estimators", ["npe"])[0]
    config["refine"] = {"better": {"proposal": proposal, "recalibrate": True}}
    with pytest.raises(ValueError, match=f"refine.better.recalibrate: .*{message}"):
        study.take_configuration(config)


def test_wider_priors_are_refused_before_anything_runs() -> None:
    config = changed(prior("slope", type="uniform", min=-1, max=1))
    config["refine"] = {"other": {"proposal": "npe", "priors": {"slope": NORMAL}}}
    with pytest.raises(ValueError, match="the new prior of 'slope' reaches from -inf to inf"):
        study.take_configuration(config)


def test_a_new_prior_may_be_of_a_parameter_that_a_pattern_matches() -> None:
    config = copy.deepcopy(TINY)
    config["campaigns"]["tiny"]["priors"]["slo*"] = config["campaigns"]["tiny"]["priors"].pop(
        "slope"
    )
    narrow = {**NORMAL, "sd": 0.5}
    config["refine"] = {"other": {"proposal": "npe", "priors": {"slope": narrow}}}
    study.take_configuration(config)


def test_proposals_in_calibration_are_refused() -> None:
    config = copy.deepcopy(TINY)
    config["calibration"]["sampler"]["proposal"] = "npe"
    with pytest.raises(
        ValueError, match=r"calibration.sampler.proposal: a proposal is named by the sampler"
    ):
        study.take_configuration(config)


def test_every_problem_of_form_is_listed() -> None:
    config = changed(update(simulations=0, colour="red"))
    with pytest.raises(ValueError, match=r"simulations: got 0.*\n.*colour: unknown key"):
        study.take_configuration(config)


def test_names_that_are_folders_of_ours_are_refused() -> None:
    config = copy.deepcopy(TINY)
    config["campaigns"]["simulations"] = config["campaigns"].pop("tiny")
    with pytest.raises(ValueError, match="simulations"):
        study.take_configuration(config)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", "# in mJy\nflux\n1\n2\n", [1, 2]),
        ("a.csv", "1,2\n3,4\n", [[1, 2], [3, 4]]),
        ("a.txt", "1.5 2.5\n3.5 4.5\n", [[1.5, 2.5], [3.5, 4.5]]),
        ("a.csv", "time,flux\n0,1\n1,5\n", [[0, 1], [1, 5]]),
        ("a.csv", "\ufeff1,2\n3,4\n", [[1, 2], [3, 4]]),
    ],
)
def test_observations_are_read(tmp_path: Path, name: str, text: str, expected: Any) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    np.testing.assert_array_equal(read_observation(tmp_path / name), expected)


def test_observations_of_numpy_are_read_and_text_is_refused(tmp_path: Path) -> None:
    np.save("a.npy", np.arange(6).reshape(2, 3))
    np.savez("a.npz", x=np.arange(3))
    assert read_observation("a.npy").shape == (2, 3)
    assert read_observation("a.npz").shape == (3,)
    (tmp_path / "words.csv").write_text("flux\nbright\n")
    with pytest.raises(ValueError, match="got 'bright'; wanted a number"):
        read_observation("words.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match=r"empty\.csv"):
        read_observation("empty.csv")


def test_the_truth_of_a_file_may_be_known_in_part(tmp_path: Path) -> None:
    entry = {"file": "good.csv", "truth": {"slope": 1.5}}
    config = changed(update(observations={"mock": entry}))
    batch = study.Plan(config).campaigns["tiny"].batch("results/tiny/observe-0.json")
    job.run_members(observe, batch.content["members"], {}, 1)
    made = "results/tiny/observations/mock.nc"
    with xr.open_dataset(tmp_path / made, engine="h5netcdf") as data:
        np.testing.assert_array_equal(data["x"], [1, 2, 3, 4])
        np.testing.assert_array_equal(data["truth"], [1.5, np.nan, np.nan])


NEW = """
import numpy as np
from tiny import Tiny


class Silent(Tiny):
    x_shape = None


class Wrong(Tiny):
    x_shape = (5,)


class Odd(Tiny):
    x_shape = 4
"""


def test_networks_are_held_against_the_first_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where neither the simulator nor a file has said what data are like."""
    Path("own_silent.py").write_text(NEW)
    monkeypatch.syspath_prepend(".")
    wildcards = SimpleNamespace(campaign="tiny")
    config = changed(update(simulator="own_silent:Silent"))
    config["estimators"]["npe"]["network"] = {"embedding": "deep_set"}
    study.take_configuration(config)

    def observed(config: Any) -> None:
        plan = study.Plan(config)
        batch = plan.campaigns["tiny"].batch("results/tiny/observe-0.json")
        job.run_members(
            observe, batch.content["members"], {"networks": study.Jobs(plan).networks(wildcards)}, 1
        )

    with pytest.raises(
        ValueError, match=r"the network of 'npe' does not .* x has shape \(4,\); a set"
    ):
        observed(config)
    config["estimators"]["npe"]["network"] = {"embedding": {"name": "mlp", "hidden": 8}}
    observed(config)
    assert study.Jobs(study.Plan(TINY)).networks(wildcards) == []
    with pytest.raises(ValueError, match=r"says x_shape = \(5,\), and returned \(4,\)"):
        observed(changed(update(simulator="own_silent:Wrong")))
    with pytest.raises(
        ValueError, match=r"simulator: Odd says x_shape = 4; wanted a tuple of whole"
    ):
        study.take_configuration(changed(update(simulator="own_silent:Odd")))


def test_nuisance_draws_that_nothing_takes() -> None:
    config = changed(update(nuisance_parameters=[]))
    config["campaigns"]["tiny"] |= {
        "simulator": "linear_gaussian",
        "priors": {"theta_1": NORMAL, "theta_2": NORMAL},
        "inferred_parameters": ["theta_1", "theta_2"],
        "observations": {},
    }
    config["refine"] = {"better": {"proposal": "npe", "likelihood": "exact", "nuisance_draws": 5}}
    with pytest.raises(ValueError, match="nuisance_draws: has no effect: the campaign has no nui"):
        study.take_configuration(config)
    del config["refine"]["better"]["nuisance_draws"]
    study.take_configuration(config)


def test_snakemake_ends_in_that_line_alone(tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests/tiny.py", tmp_path)
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
    assert re.match(r"bad.yaml:\d+: campaigns.tiny.simulatoor: unknown key; did you mean", last)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()
