"""The plan of a study: what is in a key, and what on disk is as planned."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from sbi_pipeline import registry
from sbi_pipeline.study import Jobs, Plan
from sbi_pipeline.study.changes import changes
from sbi_pipeline.study.specification import code
from sbi_pipeline.study.sweeps import expanded

TINY = yaml.safe_load(Path(__file__).with_name("config.yaml").read_text())
MANIFEST = "results/tiny/manifest.spec.json"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder with the simulator of the tiny study."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.py").write_text(Path(__file__).with_name("tiny.py").read_text())


Edit = Callable[[Any], Any]


def changed(change: Edit) -> Any:
    config = copy.deepcopy(TINY)
    change(config["campaigns"]["tiny"])
    return config


def update(**entries: Any) -> Edit:
    return lambda campaign: campaign.update(entries)


def prior(name: str, **entry: Any) -> Edit:
    return lambda campaign: campaign["priors"].update({name: entry})


def make(plan: Plan) -> None:
    """Write what a finished study has beside its results."""
    for path, spec in plan.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(spec.content))
    for made in plan.simulations.values():
        for receipt in made.receipts(made.rows):
            asked = json.loads(Path(receipt).with_suffix(".spec.json").read_text())
            Path(receipt).write_text(json.dumps({"rows": asked["arguments"]["rows"]}))


def told(plan: Plan, *targets: str) -> list[str]:
    return [str(change) for change in changes(plan, targets)]


def alone() -> Any:
    """Return the tiny study in which nothing is proposed to NLE."""
    config = copy.deepcopy(TINY)
    config["estimators"]["nle"]["sampler"]["proposal"] = "none"
    return config


def raise_version(monkeypatch: pytest.MonkeyPatch, table: Any, name: str) -> None:
    monkeypatch.setitem(table, name, registry.Part(table[name].target, table[name].version + 1))


def folder(change: Edit = lambda c: None) -> str:
    return next(iter(Plan(changed(change)).simulations))


@pytest.mark.parametrize(
    "change",
    [
        update(simulations=5000),
        update(inferred_parameters=["offset"], nuisance_parameters=["slope", "scatter"]),
        update(title="Other", observations={}, dask={"workers": 7}),
        update(split={"validation": 0.3}, limits={"time_limit": 3}, bucket="s3://there"),
        prior("slope", type="normal", mean=0.0, sd=1.0, unit="km", label="$s$"),
    ],
)
def test_what_is_not_in_the_simulation_key(change: Edit) -> None:
    assert folder(change) == folder()


@pytest.mark.parametrize(
    "change",
    [
        update(seed=4),
        update(shard_size=2000),
        update(block_size=50),
        update(code_version="2"),
        update(extra_files=["tiny.py"]),
        update(store_nuisance=False),
        prior("slope", type="normal", mean=0, sd=1.5),
    ],
)
def test_what_is_in_the_simulation_key(change: Edit) -> None:
    assert folder(change) != folder()


def test_campaigns_with_one_key_share_simulations() -> None:
    config = copy.deepcopy(TINY)
    config["campaigns"]["larger"] = copy.deepcopy(config["campaigns"]["tiny"])
    config["campaigns"]["larger"]["simulations"] = 3000
    made = Plan(config).simulations
    assert [each.rows for each in made.values()] == [3000]


def rows_of_last_shard(simulations: int) -> int:
    plan = Plan(changed(update(simulations=simulations)))
    path = f"results/simulations/{next(iter(plan.simulations))}/shard-1.spec.json"
    return int(plan[path].arguments["rows"])


def test_a_shard_never_shrinks() -> None:
    plan = Plan(TINY)
    assert rows_of_last_shard(1500) == 500
    make(plan)
    assert rows_of_last_shard(1500) == 1000
    assert plan.is_made(MANIFEST)
    receipt = Path(f"results/simulations/{folder()}/shard-1.json")
    receipt.write_text('{"rows": 900}')  # fewer than were asked for: it does not count
    assert rows_of_last_shard(1500) == 500


def test_a_shard_that_holds_a_whole_block_is_not_asked_for_more() -> None:
    make(Plan(changed(update(simulations=1350))))
    Path(f"results/simulations/{folder()}/shard-1.json").write_text('{"rows": 400}')
    assert rows_of_last_shard(1350) == 350


def test_a_manifest_whose_receipt_is_lost_is_made_again() -> None:
    plan = Plan(TINY)
    make(plan)
    assert told(plan) == []
    Path(f"results/simulations/{folder()}/shard-0.json").unlink()
    assert told(plan) == ["manifest tiny: a shard of it was deleted"]


def test_nothing_is_written_by_planning() -> None:
    plan = Plan(TINY)
    assert len(told(plan)) == len(plan)
    assert not Path("results").exists()


WHY: list[tuple[Edit, list[str]]] = [
    (
        lambda c: c["estimators"]["npe"]["training"].update(learning_rate=0.1),
        [
            "train tiny/npe: training.learning_rate default → 0.1",
            "calibrate tiny/npe: its estimator is made anew",
            "sample tiny/npe/mock: its estimator is made anew",
            "diagnose tiny/npe/mock: its posterior is made anew",
            "report tiny: its calibration of npe is made anew; "
            "its posterior of npe, mock is made anew",
            "index: its report of tiny is made anew",
        ],
    ),
    (
        lambda c: c["campaigns"]["tiny"].update(title="Other"),
        [
            "report tiny: title A tiny study → Other",
            "index: titles.tiny A tiny study → Other; its report of tiny is made anew",
        ],
    ),
]


@pytest.mark.parametrize(("change", "expected"), WHY)
def test_why_says_what_changed(change: Edit, expected: list[str]) -> None:
    make(Plan(alone()))
    config = alone()
    change(config)
    assert told(Plan(config)) == expected


def test_why_says_nothing_of_a_catalogue_that_is_as_planned() -> None:
    Path("stars.csv").write_text("y1,y2,y3,y4\n1,2,3,4\n5,6,7,8\n")
    config = changed(update(observations={"survey": {"table": "stars.csv"}}))
    make(Plan(config))
    for entry in Path("results/tiny").glob("*/survey"):
        (entry / "draws.zarr").mkdir()
    assert told(Plan(config)) == []


def test_why_tells_the_change_of_a_simulation_once_for_its_campaign() -> None:
    make(Plan(TINY))
    source = Path("tiny.py").read_text()
    Path("tiny.py").write_text(source.replace("linspace(0, 1, 4)", "linspace(0, 2, 4)"))
    found = told(Plan(TINY))
    assert found[0].endswith("prior-0: simulator tiny:Tiny: tiny was edited")
    assert found[1].endswith("shard-0: simulator tiny:Tiny: tiny was edited")
    (manifest,) = [line for line in found if line.startswith("manifest")]
    assert "simulations: simulator tiny:Tiny: tiny was edited" in manifest
    assert "observe tiny/observations/mock: simulator tiny:Tiny: tiny was edited" in found


def test_why_says_which_rows_are_more() -> None:
    make(Plan(TINY))
    found = told(Plan(changed(update(simulations=2500))))
    assert "manifest tiny: rows 2000 → 2500" in found
    assert "train tiny/npe: its simulations: rows 2000 → 2500" in found


def test_why_of_a_target_is_that_of_its_inputs_alone() -> None:
    make(Plan(TINY))
    config = copy.deepcopy(TINY)
    for name in ("npe", "nle"):
        config["estimators"][name]["seed"] = 2
    found = told(Plan(config), "results/tiny/npe/mock/posterior.nc")
    assert [line.split(":")[0] for line in found] == [
        "train tiny/npe",
        "sample tiny/npe/mock",
        "diagnose tiny/npe/mock",
    ]
    with pytest.raises(ValueError, match="results/other is nothing this configuration makes"):
        told(Plan(config), "results/other")


def test_a_raised_version_makes_its_stage_and_what_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make(Plan(TINY))
    before = registry.STAGES["diagnose"].version
    raise_version(monkeypatch, registry.STAGES, "diagnose")
    found = told(Plan(TINY))
    assert [line.split(":")[0] for line in found] == [
        "diagnose tiny/npe/mock",
        "diagnose tiny/nle/mock",
        "report tiny",
        "index",
    ]
    change = f"version {before} → {before + 1}"
    assert found[0] == f"diagnose tiny/npe/mock: stage diagnose: {change}"


def test_the_version_of_one_method_leaves_the_other_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make(Plan(TINY))
    raise_version(monkeypatch, registry.ESTIMATORS, "nle")
    found = told(Plan(TINY))
    assert found[0] == "train tiny/nle: estimator nle: version 2 → 3"
    assert not any("/npe" in line.split(":")[0] for line in found)


def test_the_version_of_an_embedding_concerns_what_may_use_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make(Plan(alone()))
    raise_version(monkeypatch, registry.EMBEDDINGS, "mlp")
    found = told(Plan(alone()))
    assert found[0] == "train tiny/npe: embedding mlp: version 1 → 2"
    told_of = [line.split(":")[0] for line in found]
    assert "learn_nuisances tiny" in told_of
    assert [each for each in told_of if "/nle" in each] == ["diagnose tiny/nle/mock"]


def test_the_version_of_a_sampler_concerns_what_it_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    make(Plan(TINY))
    raise_version(monkeypatch, registry.SAMPLERS, "emcee")
    found = told(Plan(TINY))
    raised = registry.SAMPLERS["emcee"].version
    assert found[0] == f"calibrate tiny/nle: sampler emcee: version {raised - 1} → {raised}"
    assert found[1] == f"sample tiny/nle/mock: sampler emcee: version {raised - 1} → {raised}"
    assert not any("/npe" in line.split(":")[0] for line in found)


def test_what_proposes_belongs_to_the_keys_of_what_it_proposes_for() -> None:
    make(Plan(TINY))
    config = copy.deepcopy(TINY)
    config["estimators"]["npe"]["seed"] = 7
    found = told(Plan(config))
    assert "calibrate tiny/nle: its proposals are made anew" in found
    assert "sample tiny/nle/mock: its proposals are made anew" in found
    assert not any(line.startswith("train tiny/nle") for line in found)
    wildcards = SimpleNamespace(campaign="tiny", trained="nle", estimator="nle")
    for asked in (Jobs.proposals, Jobs.calibration_proposals):
        assert asked(Jobs(Plan(TINY)), wildcards) == ["results/tiny/npe/estimator.pt"]
        assert asked(Jobs(Plan(alone())), wildcards) == []


def test_members_of_a_sweep_take_a_proposal_of_their_own_campaign() -> None:
    config = copy.deepcopy(TINY)
    config["sweeps"] = {"sizes": {"campaign": "tiny", "simulations": [1000, 2000]}}
    campaign = Plan(expanded(config)).campaigns["sizes_1000"]
    assert campaign.fits.proposals("sizes_nle_seed1", calibrating=True) == ["sizes_npe_seed1"]
    config["estimators"]["nle"]["sampler"]["proposal"] = "npe"  # which is none of theirs
    campaign = Plan(expanded(config)).campaigns["sizes_1000"]
    assert campaign.fits.proposals("sizes_nle_seed1", calibrating=True) == []
    del config["estimators"]["nle"]["sampler"]["proposal"]
    config["sweeps"]["sizes"]["estimators"] = ["nle"]
    campaign = Plan(expanded(config)).campaigns["sizes_1000"]
    assert campaign.fits.proposals("sizes_nle_seed1", calibrating=True) == []


def test_a_diagnostic_concerns_the_page_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    make(Plan(TINY))
    raise_version(monkeypatch, registry.DIAGNOSTICS, "tarp")
    assert told(Plan(TINY)) == [
        "report tiny: diagnostic tarp: version 1 → 2",
        "index: its report of tiny is made anew",
    ]


OWN = {
    "estimator": (lambda c: c["estimators"]["npe"].update(method="toy:ToyEstimator"), "train"),
    "sampler": (
        lambda c: c["estimators"]["nle"].update(
            sampler={"name": "toy:ToySampler", "proposal": "none"}
        ),
        "sample",
    ),
}


@pytest.mark.parametrize("kind", OWN)
def test_an_edit_of_ones_own_part_concerns_what_uses_it(kind: str) -> None:
    change, stage = OWN[kind]
    Path("toy.py").write_text(Path(__file__).with_name("toy.py").read_text())
    config = alone()
    change(config)
    make(Plan(config))
    with Path("toy.py").open("a") as file:
        file.write("MORE = 1\n")
    found = told(Plan(config))
    assert any(line.startswith(f"{stage} tiny/") and ": toy was edited" in line for line in found)
    concerned = "npe" if kind == "estimator" else "nle"
    assert all(concerned in line or "report" in line or "index" in line for line in found)


@pytest.mark.parametrize("table", [registry.ESTIMATORS, registry.SIMULATORS, registry.EMBEDDINGS])
def test_a_new_line_of_the_registry_makes_nothing_anew(
    monkeypatch: pytest.MonkeyPatch, table: Any
) -> None:
    make(Plan(TINY))
    monkeypatch.setitem(table, "new", registry.Part("somewhere:Else", 3))
    assert told(Plan(TINY)) == []


def test_an_embedding_of_ones_own_belongs_to_the_key_of_its_training() -> None:
    Path("mine.py").write_text("class Mine:\n    width = 1\n")
    config = copy.deepcopy(TINY)
    config["estimators"]["npe"]["network"] = {"embedding": {"name": "mine:Mine"}}
    make(Plan(config))
    Path("mine.py").write_text('class Mine:\n    """Says what it is."""\n\n    width = 1  # one\n')
    assert told(Plan(config)) == []
    Path("mine.py").write_text("class Mine:\n    width = 2\n")
    found = told(Plan(config))
    assert found[0] == "train tiny/npe: embedding mine:Mine: mine was edited"
    assert [line.split(":")[0] for line in found][1] == "calibrate tiny/npe"


def test_a_class_built_of_our_networks_counts_with_their_versions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("mine.py").write_text("from sbi_pipeline.networks import flows\n\nclass Mine: ...\n")
    before = code("embedding", "mine:Mine").versions
    assert before["estimator npe"] == 1
    monkeypatch.setitem(registry.ESTIMATORS, "new", registry.Part("somewhere:Else"))
    assert code("embedding", "mine:Mine").versions == before


def test_a_deleted_result_is_not_made(tmp_path: Path) -> None:
    plan = Plan(alone())
    make(plan)
    path = Path("results/tiny/npe/train.spec.json")
    path.write_text(json.dumps({**plan[str(path)].content, "outputs": ["estimator.pt"]}))
    found = told(plan)
    assert found[0] == "train tiny/npe: estimator.pt is gone"
    assert found[1] == "calibrate tiny/npe: its estimator is made anew"
    assert found[-1] == "index: its report of tiny is made anew"
    assert not any("nle" in line.split(":")[0] for line in found)
    path.with_name("estimator.pt").touch()
    assert told(plan) == []


def test_campaigns_that_share_simulations_have_the_strictest_limits() -> None:
    config = changed(update(limits={"time_limit": 60, "retries": 2}))
    other = {**config["campaigns"]["tiny"], "limits": {"time_limit": 5, "isolate": True}}
    config["campaigns"]["other"] = other
    (made,) = Plan(config).simulations.values()
    assert made.limits == {"time_limit": 5, "retries": 2, "isolate": True}


def test_results_of_an_earlier_form_are_said_to_be_so() -> None:
    plan = Plan(TINY)
    make(plan)
    path = Path("results/tiny/npe/train.spec.json")
    path.write_text('{"key": "0", "method": "npe"}')
    (line,) = told(plan)
    assert line.startswith("train tiny/npe: made by an earlier version of sbi_pipeline")
    for broken in ("", "{", "[]"):
        path.write_text(broken)
        (line,) = told(plan)
        assert line == "train tiny/npe: its specification cannot be read; not made yet"


def test_what_only_shows_a_training_is_in_no_key() -> None:
    config = copy.deepcopy(TINY)
    config["estimators"]["npe"]["training"] |= {"tensorboard": True, "progress": False}
    make(Plan(TINY))
    assert told(Plan(config)) == [  # the page shows the configuration
        "report tiny: configuration changed",
        "index: its report of tiny is made anew",
    ]


def predicted_of(change: Edit, **rest: Any) -> tuple[bool, str]:
    """Return whether nuisances are learnt, and what predictions say of them otherwise."""
    plan = Plan({**changed(change), **rest})
    spec = plan["results/tiny/npe/mock/diagnose.spec.json"]
    learns = "results/tiny/learn_nuisances.spec.json" in plan
    assert ("nuisances" in spec.inputs) == learns
    return learns, spec.arguments["from_prior"]


@pytest.mark.parametrize(
    ("change", "rest", "found"),
    [
        (update(), {}, (True, "")),
        (update(), {"predictive": {"nuisances": "prior"}}, (False, "")),
        (update(), {"predictive_draws": 0}, (False, "")),
        (
            update(inferred_parameters=["slope", "offset", "scatter"], nuisance_parameters=[]),
            {},
            (False, ""),
        ),
        (
            update(store_nuisance=False),
            {},
            (False, "store_nuisance: false keeps none to learn from"),
        ),
        (prior("scatter", type="bernoulli", probability=0.5), {}, (False, "scatter is discrete")),
    ],
)
def test_which_nuisances_are_learnt(change: Edit, rest: Any, found: tuple[bool, str]) -> None:
    assert predicted_of(change, **rest) == found


def test_what_sees_x_for_an_estimator_sees_it_for_nuisances() -> None:
    config = copy.deepcopy(TINY)
    config["estimators"]["npe"]["network"] = {
        "embedding": "cnn1d",
        "transform": "asinh",
        "hidden": 8,
    }
    spec = Plan(config)["results/tiny/learn_nuisances.spec.json"]
    assert spec.arguments["network"] == {"embedding": "cnn1d", "transform": "asinh"}
