"""Jobs that serve many observations: they make those that are not there, and nothing else."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sbi_pipeline import sidecars, study
from sbi_pipeline.samplers import NotDrawn
from sbi_pipeline.stages import job
from sbi_pipeline.stages.files import one_by_one
from sbi_pipeline.stages.posteriors import ToSample, draw_batches
from sbi_pipeline.study.changes import changes

TINY = yaml.safe_load((Path(__file__).parent / "config.yaml").read_text())
FOLDER = "results/tiny"
TRAINED = f"{FOLDER}/npe/train.spec.json"
CALLS: list[list[str]] = []


@dataclass(frozen=True)
class ToDraw:
    observation: Path
    posterior: Path
    key: str
    names: Any = None


def draw(
    *, each: Sequence[ToDraw], estimator: Path, sampler: Any, derived: Any, texts: Any
) -> Iterator[ToDraw]:
    """Stand for `sample`: fail for observations whose name begins with bad."""
    CALLS.append([one.observation.stem for one in each])
    assert estimator == Path("estimator.pt")

    def work(one: ToDraw) -> None:
        if one.observation.stem.startswith("bad"):
            raise ValueError("too odd")
        one.posterior.write_text(one.key)

    yield from one_by_one(each, work, lambda one: one.observation.stem)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    CALLS.clear()


def plan(*observations: str, **options: Any) -> study.Plan:
    tiny = {name: {"parameters": {"slope": 0.5}} for name in observations}
    config = {**TINY, "campaigns": {"tiny": {**TINY["campaigns"]["tiny"], "observations": tiny}}}
    made = study.Plan(study.take_configuration({**config, **options}))
    if not Path(TRAINED).exists():
        train(made)
    return made


def train(made: study.Plan) -> None:
    """Stand for a training of the estimator that posteriors are drawn from."""
    Path(TRAINED).parent.mkdir(parents=True, exist_ok=True)
    sidecars.write_beside(Path(TRAINED), made[TRAINED].content, [])


def run(made: study.Plan, receipt: str) -> None:
    """Do the job that writes a receipt."""
    batch = made.campaigns["tiny"].batch(receipt)
    assert batch is not None
    job.run_members(draw, batch.content["members"], {"estimator": Path("estimator.pt")}, 1)
    Path(receipt).write_text(json.dumps(batch.content["receipt"]))


def test_an_added_observation_is_made_alone() -> None:
    receipt = f"{FOLDER}/npe/sample-0.json"
    first = plan("a", "b")
    assert not first.is_made(receipt)
    run(first, receipt)
    assert first.is_made(receipt)
    more = plan("new", "a", "b")
    assert not more.is_made(receipt)
    run(more, receipt)
    assert more.is_made(receipt)
    assert CALLS == [["a", "b"], ["new"]]
    Path(FOLDER, "npe/a/posterior.nc").unlink()
    assert not more.is_made(receipt)
    run(more, receipt)
    assert CALLS[2:] == [["a"]]
    run(more, receipt)
    assert len(CALLS) == 3  # nothing is to be made, so the stage is not called


def test_one_that_fails_keeps_none_of_the_others() -> None:
    receipt, made = f"{FOLDER}/npe/sample-0.json", plan("a", "bad_one", "c", "bad_two")
    with pytest.raises(ValueError, match="2 of 4 observations failed; bad_one: too odd"):
        run(made, receipt)
    assert Path(FOLDER, "npe/c/sample.spec.json").is_file()
    assert not made.is_made(receipt)
    with pytest.raises(ValueError, match="2 of 2 observations failed"):
        run(made, receipt)
    assert CALLS[1] == ["bad_one", "bad_two"]


def test_an_observation_that_cannot_be_drawn_for_is_left_out_of_its_batch() -> None:
    each = [ToSample(Path(f"{name}.nc"), Path(), name) for name in ("odd", "a", "bad", "b")]
    tried, failed = [], []

    def draw(batch: Sequence[ToSample], x: np.ndarray) -> Any:
        names = [one.key for one in batch]
        tried.append(names)
        wrong = [names.index(name) for name in ("odd", "bad") if name in names][:1]
        if wrong:
            raise NotDrawn("too far", wrong)
        return "".join(names)

    (made,) = draw_batches(iter([(each, np.arange(4))]), draw, failed)
    assert [one.key for one in made[0]] == ["a", "b"]
    assert made[1].tolist() == [1, 3]
    assert made[2] == "ab"
    assert failed == ["odd: too far", "bad: too far"]
    assert tried == [["odd", "a", "bad", "b"], ["a", "bad", "b"], ["a", "b"]]
    assert not list(draw_batches(iter([(each[:1], np.arange(1))]), draw, failed))


def test_observations_are_split_among_jobs() -> None:
    made = plan(*"abcde", observations_per_job=2)
    tiny = made.campaigns["tiny"]
    assert tiny.receipts("sample", "nle") == [f"{FOLDER}/nle/sample-{n}.json" for n in range(3)]
    assert tiny.receipts("observe") == [f"{FOLDER}/observe-{n}.json" for n in range(3)]
    batch = tiny.batch(f"{FOLDER}/nle/diagnose-1.json")
    assert batch is not None
    assert [each.path for each in batch.members] == [
        f"{FOLDER}/nle/{name}/diagnose.spec.json" for name in "cd"
    ]
    assert batch.members[0].writes == {
        "diagnostics": f"{FOLDER}/nle/c/diagnostics.csv",
        "predictive": f"{FOLDER}/nle/c/predictive.nc",
    }


def test_one_observation_that_is_named_alone_is_a_job_of_its_own() -> None:
    made = plan("a", "b")
    path = f"{FOLDER}/npe/b/sample.spec.json"
    batch = made.campaigns["tiny"].batch(path)
    assert batch is not None
    run_alone = batch.content["members"]
    job.run_members(draw, run_alone, {"estimator": Path("estimator.pt"), "posterior": Path()}, 1)
    assert made.is_made(path)
    run(made, f"{FOLDER}/npe/sample-0.json")
    assert CALLS == [["b"], ["a"]]


def test_what_was_made_of_an_earlier_estimator_with_the_same_key_is_made_anew() -> None:
    receipt, made = f"{FOLDER}/npe/sample-0.json", plan("a", "b")
    run(made, receipt)
    assert made.is_made(receipt)
    train(made)
    assert not made.is_made(receipt)
    told = [str(each) for each in changes(made)]
    assert "sample tiny/npe/a: train tiny/npe was made anew since" in told
    run(made, receipt)
    assert made.is_made(receipt)
    assert CALLS == [["a", "b"], ["a", "b"]]
