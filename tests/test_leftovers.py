"""`sbi-pipeline clean`: what no configuration names, and nothing else."""

import copy
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_rounds import known

from sbi_pipeline import cli, study
from sbi_pipeline.storage import location
from sbi_pipeline.storage.lease import Lease
from sbi_pipeline.study import Plan, leftovers

TESTS = Path(__file__).parent
TINY = yaml.safe_load((TESTS / "config.yaml").read_text())
OUTPUTS = {
    "manifest": ["simulations.json"],
    "train": ["estimator.pt"],
    "calibrate": ["calibration.nc"],
    "calibrate_refined": ["calibration.nc"],
    "recalibrate": ["calibration.nc"],
    "sample": ["posterior.nc"],
    "refine": ["posterior.nc"],
    "diagnose": ["diagnostics.csv", "predictive.nc"],
    "posterior_sbc": ["posterior_sbc.nc"],
    "learn_nuisances": ["nuisances.pt"],
    "report": ["report.html", "figures"],
    "truncate": ["box.json"],
}
"""What some stages make, as files of the rules are called."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder with the simulator of the tiny study."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(TESTS))


def edited(change: Callable[[Any], Any] = lambda config: None) -> Any:
    config = copy.deepcopy(TINY)
    change(config)
    return config


def plan_of(config: Any, boxes: Mapping[str, Any] | None = None) -> Plan:
    return Plan(study.take_configuration(config, check=False), boxes)


def make(plan: Plan) -> Plan:
    """Write what a finished study of a plan has in `results`, a kilobyte each."""
    for path, spec in plan.items():
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        names = OUTPUTS.get(spec.stage, [])
        if spec.stage in ("observe", "collect"):
            names = [place.name.replace(".spec.json", ".nc")]
        place.write_text(json.dumps({**spec.content, "outputs": names}))
        for name in names:
            if name == "figures":
                (place.parent / name).mkdir(exist_ok=True)
            else:
                (place.parent / name).write_bytes(bytes(1000))
        place.with_name(f"{spec.stage}.log").touch()
    for made in plan.simulations.values():
        for name in ("prior-0.zarr", "shard-0.zarr"):
            (Path(made.folder) / name).mkdir(exist_ok=True)
            (Path(made.folder) / name / "zarr.json").write_bytes(bytes(1000))
    return plan


def left(*plans: Plan) -> list[str]:
    return [each.place.relative_to("results").as_posix() for each in leftovers.leftovers(plans)]


def test_all_that_a_study_makes_is_named() -> None:
    plan = make(plan_of(edited()))
    assert Path("results/tiny/npe/mock/posterior.nc").exists()
    assert left(plan) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda c: c["estimators"].pop("nle"), ["tiny/nle"]),
        (lambda c: c["campaigns"]["tiny"].update(simulations=1000), []),
        (lambda c: c["campaigns"]["tiny"].update(title="Another"), []),
        (lambda c: c.update(predictive={"nuisances": "prior"}), ["tiny/nuisances.pt"]),
        (
            lambda c: c["campaigns"]["tiny"].update(observations={"other": {"parameters": {}}}),
            [f"tiny/{place}" for place in ("nle/mock", "npe/mock", "observations/mock.nc")],
        ),
        (lambda c: c["campaigns"].update(big=c["campaigns"].pop("tiny")), ["tiny"]),
    ],
)
def test_what_was_taken_out_is_found(change: Callable[[Any], Any], found: list[str]) -> None:
    make(plan_of(edited()))
    assert sorted(left(plan_of(edited(change)))) == sorted(found)


def test_simulations_are_found_by_their_key_and_shared_ones_are_not() -> None:
    def twice(config: Any) -> None:
        config["campaigns"]["twin"] = config["campaigns"]["tiny"]

    def another_seed(config: Any) -> None:
        config["campaigns"]["tiny"]["seed"] = 4

    (simulations,) = make(plan_of(edited(twice))).simulations
    assert left(plan_of(edited())) == ["twin"]
    assert left(plan_of(edited(another_seed))) == [f"simulations/{simulations}", "twin"]
    assert left(plan_of(edited(another_seed)), plan_of(edited(twice))) == []


def test_what_another_configuration_names_stays() -> None:
    def renamed(config: Any) -> None:
        config["campaigns"]["other"] = config["campaigns"].pop("tiny")
        config["estimators"].pop("nle")

    both = make(plan_of(edited())), make(plan_of(edited(renamed)))
    assert left(*both) == []
    assert left(both[0]) == ["other"]
    assert left(both[1]) == ["tiny"]


def test_members_of_a_sweep_are_named() -> None:
    def sweep(*sizes: int) -> Plan:
        entry = {"campaign": "tiny", "estimators": ["npe"], "simulations": list(sizes)}
        return plan_of(edited(lambda config: config.update(sweeps={"budget": entry})))

    both = make(sweep(500, 1000, 2000))
    assert left(both) == []
    (smallest,) = [each["campaign"] for each in both.sweeps["budget"] if each["simulations"] == 500]
    assert left(sweep(1000, 2000)) == [smallest]
    assert "budget" in left(plan_of(edited()))


def test_a_catalogue_that_was_taken_out_is_found() -> None:
    Path("objects.csv").write_text("a,b,c,d\n" + "0,0,0,0\n" * 3)

    def survey(config: Any) -> None:
        config["campaigns"]["tiny"]["observations"]["survey"] = {"table": "objects.csv"}

    plan = make(plan_of(edited(survey)))
    for name in ("npe", "nle"):
        work = Path(f"results/tiny/{name}/survey/work/infer-0")
        work.mkdir(parents=True)
        (work / "lease.json").touch()
        store = Path(f"results/tiny/{name}/survey/draws.zarr")
        store.mkdir()
        (store / "zarr.json").touch()
    assert left(plan) == []
    assert left(plan_of(edited())) == [
        *("tiny/nle/survey", "tiny/npe/survey", "tiny/observations/survey.nc")
    ]


def test_refined_posteriors_are_named_and_what_they_are_now_is_kept() -> None:
    def refined(**how: Any) -> Plan:
        entry = {"proposal": "npe", **how}
        return plan_of(edited(lambda config: config.update(refine={"better": entry})))

    make(refined(likelihood="nle"))
    make(now := refined(recalibrate=True))
    stale = Path("results/tiny/better/calibrate_refined.spec.json")
    silent = stale.with_name("calibrate_refined.progress.json")
    silent.touch()
    assert left(now) == [stale.relative_to("results").as_posix()]
    (found,) = leftovers.leftovers([now])
    assert found.paths == (stale, stale.with_name("calibrate_refined.log"), silent)
    leftovers.delete(found)
    assert Path("results/tiny/better/calibration.nc").exists()
    assert left(plan_of(edited())) == ["tiny/better"]


def test_posteriors_are_asked_no_more_where_they_are() -> None:
    def asked(config: Any) -> None:
        config["posterior_calibration"] = 100

    make(plan_of(edited(asked)))
    assert left(plan_of(edited())) == [
        f"tiny/{name}/mock/posterior_sbc.nc" for name in ("nle", "npe")
    ]


def rounds(config: Any) -> None:
    config["campaigns"]["tiny"] |= {"rounds": {"simulations": 500}, "split": {"test": 0.2}}


def test_rounds_are_named_as_far_as_they_went() -> None:
    two = {"tiny_round_2": known(rows=150), "tiny_round_3": known(0.9, 0.09, 400, 3.0, 0.3)}
    one = {"tiny_round_2": known(0.9, rows=150)}
    made = make(plan_of(edited(rounds), two))
    assert left(made) == []
    second = made.campaigns["tiny_round_2"].simulations.name
    found = left(plan_of(edited(rounds), one))
    assert "tiny_round_3" in found
    assert f"simulations/{second}" not in found  # a box with the same faces has the same rows


def test_nothing_of_rounds_is_found_while_they_wait_for_a_box() -> None:
    two = {"tiny_round_2": known(rows=150), "tiny_round_3": known(0.9, 0.09, 400, 3.0, 0.3)}
    make(plan_of(edited(rounds), two))
    waiting = plan_of(edited(rounds))
    assert waiting.rounds["tiny"].waits_for
    assert left(waiting) == []

    def another_seed(config: Any) -> None:
        rounds(config)
        config["campaigns"]["tiny"]["seed"] = 4

    of_all_the_prior = waiting.campaigns["tiny_round_1"].simulations.name
    assert left(plan_of(edited(another_seed))) == [f"simulations/{of_all_the_prior}"]
    *in_boxes, first, second, third = left(plan_of(edited()))
    assert [first, second, third] == [f"tiny_round_{number}" for number in (1, 2, 3)]
    assert len(in_boxes) == 2


def test_ledgers_are_named_by_the_key_of_what_they_are_for() -> None:
    plan = make(plan_of(edited()))
    key = plan["results/tiny/npe/mock/diagnose.spec.json"].key
    folder = Path("results/simulations")
    for name in (f"predictive-tiny-npe-mock-{key}-abc", "predictive-tiny-npe-mock-other-abc"):
        (folder / name / "shard-0.zarr").mkdir(parents=True)
    assert left(plan) == ["simulations/predictive-tiny-npe-mock-other-abc"]


def report_of(stage: str, folder: Path, age: float) -> None:
    """Write what a job of a stage has told of itself so many seconds ago."""
    told = {"stage": stage, "state": "running", "text": "", "makes": "", "host": "here"}
    path = folder / f"{stage}.progress.json"
    path.write_text(json.dumps({**told, "job": "", "begun": 0, "written": 0, "counts": []}))
    os.utime(path, (time.time() - age,) * 2)


def unfinished(folder: Path, key: str) -> list[Path]:
    """Write what a killed training and killed chains leave behind, a kilobyte each."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"train-{key}{rest}" for rest in (".checkpoint", "-0.pt", "-nle-whole.pt.partial")]
    chain = folder / f"sample-{key}.chain"
    chain.mkdir()
    (chain / "0.npz").write_bytes(bytes(1000))
    for name in names:
        (folder / name).write_bytes(bytes(1000))
    return sorted([chain, *(folder / name for name in names)])


def test_unfinished_trainings_that_nobody_goes_on_with_are_found() -> None:
    plan = make(plan_of(edited()))
    folder, key = Path("results/tiny/npe"), "0123456789abcdef"
    wanted = [
        *unfinished(folder, plan["results/tiny/npe/train.spec.json"].key),
        *unfinished(folder, plan["results/tiny/npe/mock/sample.spec.json"].key),
    ]
    (folder / "train-of-thought.checkpoint").touch()  # no key, so none of ours
    stale = unfinished(folder, key)
    unfinished(Path("results/tiny/gone"), key)
    unfinished(Path("results/never/nle"), key)
    found = {each.place: each for each in leftovers.leftovers([plan])}
    assert set(found) == {stale[0], Path("results/tiny/gone"), Path("results/never")}
    assert set(found[stale[0]].paths) == set(stale)
    assert found[stale[0]].size == 4000
    for each in found.values():
        leftovers.delete(each)
    assert not any(path.exists() for path in stale)
    assert all(path.exists() for path in wanted)
    assert (folder / "train-of-thought.checkpoint").exists()


def test_what_a_job_left_that_ended_before_it_made_anything_is_found() -> None:
    plan = make(plan_of(edited()))
    folder = Path("results/tiny/gone")
    folder.mkdir()
    report_of("train", folder, age=9000)
    assert left(plan) == ["tiny/gone"]
    (folder / "train.progress.json").write_text("{}")
    assert left(plan) == []


@pytest.mark.parametrize(("age", "written"), [(0, True), (9000, False)])
def test_a_training_that_runs_is_being_written(age: float, written: bool) -> None:
    plan = make(plan_of(edited()))
    unfinished(Path("results/tiny/gone"), "0123456789abcdef")
    report_of("train", Path("results/tiny/gone"), age)
    (found,) = leftovers.leftovers([plan])
    assert found.written is written


def test_files_of_the_users_own_and_links_are_left_alone(tmp_path: Path) -> None:
    plan = make(plan_of(edited()))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/manifest.spec.json").write_text('{"stage": "manifest"}')
    Path("results/linked").symlink_to(tmp_path / "elsewhere")
    Path("results/simulations/linked").symlink_to(tmp_path / "elsewhere")
    for name in ("results/notes/spec.json", "results/tiny/mine/a.spec.json", "results/table.tex"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text('{"stage": "mine"}')
    Path("results/simulations/mine").mkdir()
    assert left(plan) == []


def test_what_is_being_written_stays(capsys: pytest.CaptureFixture[str]) -> None:
    (simulations,) = make(plan_of(edited())).simulations
    another = edited(lambda config: config["campaigns"]["tiny"].update(seed=4))
    Path("config.yaml").write_text(yaml.safe_dump(another))
    folder = Path("results/simulations", simulations)
    with Lease(folder / "shard-0.zarr"):
        cli.main(["clean", "--delete"])
    assert "being written: it stays\n0 deleted, 0 B" in capsys.readouterr().out
    assert folder.exists()
    cli.main(["clean", "--delete"])
    assert not folder.exists()


def test_arrays_in_an_object_store_are_deleted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    (simulations,) = make(plan_of(edited())).simulations
    address = "s3://bucket/tiny/shard-0-abc.zarr"
    Path(f"results/simulations/{simulations}/shard-0.zarr/location").write_text(f"{address}\n")
    plan = plan_of(edited(lambda config: config["campaigns"]["tiny"].update(seed=4)))
    (found,) = leftovers.leftovers([plan])
    assert found.buckets == (address,)
    deleted = []
    monkeypatch.setattr(location.Bucket, "keys", lambda bucket, prefix: {"x/c/0", "zarr.json"})
    monkeypatch.setattr(location.Bucket, "delete", lambda bucket, key: deleted.append(key))
    leftovers.delete(found)
    assert sorted(deleted) == ["x/c/0", "zarr.json"]
    assert not found.place.exists()


@pytest.fixture
def two_studies() -> None:
    """Work where two configurations have results, and one names an estimator less than it had."""
    make(plan_of(edited()))
    fewer = edited(lambda config: (config["estimators"].pop("nle"), config.pop("calibration")))
    Path("config.yaml").write_text(yaml.safe_dump(fewer))
    other = edited(lambda c: c["campaigns"].update(other=c["campaigns"].pop("tiny")))
    make(plan_of(other))
    Path("other.yaml").write_text(yaml.safe_dump(other))


@pytest.mark.usefixtures("two_studies")
def test_it_lists_with_sizes_and_deletes_on_request_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = ["clean", "--configfile", "config.yaml", "--configfile", "other.yaml"]
    cli.main(asked)
    line, total = capsys.readouterr().out.splitlines()
    size, unit, place = line.split()
    assert place == "results/tiny/nle"
    assert unit == "kB"
    assert float(size) > 5  # five files of a kilobyte, and their specifications
    assert total.startswith("1 not named by config.yaml, other.yaml, ")
    assert Path("results/tiny/nle").exists()
    cli.main([*asked, "--delete"])
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 deleted, ")
    assert not Path("results/tiny/nle").exists()
    assert Path("results/other/nle/estimator.pt").exists()
    cli.main(asked)
    assert capsys.readouterr().out == (
        "everything in results is named by config.yaml, other.yaml\n"
    )


@pytest.mark.usefixtures("two_studies")
def test_what_may_be_written_by_snakemake_is_not_deleted() -> None:
    Path(".snakemake/locks").mkdir(parents=True)
    lock = Path(".snakemake/locks/0.output.lock")
    lock.touch()
    with pytest.raises(SystemExit, match=r"snakemake runs, or was killed .*: nothing is deleted"):
        cli.main(["clean", "--delete"])
    lock.unlink()
    with (
        Lease(Path(".snakemake")),
        pytest.raises(SystemExit, match="sbi-pipeline head runs: nothing is deleted"),
    ):
        cli.main(["clean", "--delete"])
    assert Path("results/tiny/nle/estimator.pt").exists()


@pytest.mark.usefixtures("two_studies")
def test_what_quick_makes_is_named() -> None:
    config = yaml.safe_load(Path("other.yaml").read_text())
    config["if_quick"] = {"campaigns": {"other": {"seed": 9}}}
    quick = make(Plan(study.take_configuration({**config, "quick": True}, check=False)))
    Path("other.yaml").write_text(yaml.safe_dump(config))
    cli.main(["clean", "--delete", "--configfile", "other.yaml"])
    assert {path.name for path in Path("results/simulations").iterdir()} >= set(quick.simulations)


@pytest.mark.usefixtures("two_studies")
def test_what_is_wrong_is_one_line_and_nothing_is_deleted(tmp_path: Path) -> None:
    other = Path("other.yaml")
    other.write_text(f"strickt: true\n{other.read_text()}")
    with pytest.raises(SystemExit, match=r"^other\.yaml:1: strickt: unknown key"):
        cli.main(["clean", "--delete", "--configfile", "config.yaml", "--configfile", "other.yaml"])
    with pytest.raises(SystemExit, match=r"none\.yaml"):
        cli.main(["clean", "--delete", "--configfile", "none.yaml"])
    assert Path("results/tiny/nle").exists()
    (tmp_path / "results").rename(tmp_path / "elsewhere")
    with pytest.raises(SystemExit, match="no results here; are you where snakemake is called"):
        cli.main(["clean"])
