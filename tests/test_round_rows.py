"""Rows of several rounds, read as one campaign: exactly the prior within the last box."""

import json
from pathlib import Path

import numpy as np
import pytest
from joint_prior import Disc
from scipy import stats
from shard_for_tests import NAMES, simulate

from sbi_pipeline import priors
from sbi_pipeline.campaigns.sources import source_of
from sbi_pipeline.model import Model
from sbi_pipeline.priors.boxes import BoxedPrior
from sbi_pipeline.stages import manifests, simulations
from sbi_pipeline.stages.rounds import count_within, simulated_rows
from sbi_pipeline.storage.noise import Noise
from sbi_pipeline.storage.prior import write_prior
from sbi_pipeline.storage.reading import PARTS, open_campaign
from sbi_pipeline.study.rounds import KnownBox
from sbi_pipeline.training.sources import Streamed, prepare
from sbi_pipeline.truncation import Box

ENTRIES = {
    "a": {"type": "uniform", "min": -1, "max": 1},
    "b": {"type": "normal", "mean": "a", "sd": 0.5},
}
PRIOR = priors.build(ENTRIES, NAMES)
QUIET = {"theta_dim": 1, "nuisances": 1, "x_dim": 3}
SPLIT = {"validation": 0.1, "test": 0.05}
SECOND, THIRD = {"a": (-0.6, 0.6)}, {"a": (-0.3, 0.3), "b": (-1.0, 1.0)}
WIDER = {"a": (-0.3, 0.9), "b": (-1.0, 1.0)}
AXES = [{"a": (c, s), "b": (-s, c)} for c, s in ((0.6, 0.8), (0.28, -0.96))]
OBLIQUE = {"within": {}, "axes": AXES[0], "faces": {"a": (-0.8, 0.6)}}
NESTED = {"within": OBLIQUE, "axes": AXES[1], "faces": {"a": (-0.8, 0.9), "b": (None, 0.7)}}
BOXES = {"along parameters": (SECOND, THIRD, WIDER)}
BOXES["oblique"] = (OBLIQUE, NESTED, {**NESTED, "faces": {"a": (-0.8, 1.9), "b": (None, 0.7)}})
BOXES["beyond one farther out"] = (OBLIQUE, NESTED, {**OBLIQUE, "faces": {"a": (-0.8, 1.6)}})


@pytest.fixture(params=BOXES)
def boxes(request):
    return BOXES[request.param]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class Rounds:
    """Rounds as the workflow makes them, without estimators: their boxes are given."""

    def __init__(self, **options):
        self.stocks, self.count = [], 0
        self.options = QUIET | options

    def add(self, rows, source=None):
        """Simulate a round; keep what a manifest is told of it."""
        name, seed = f"round{self.count}", 100 + self.count
        self.count += 1
        folder = Path("simulations", name)
        folder.mkdir(parents=True)
        whole = -(-rows // 100) * 100
        drawn = source_of(source).draw(PRIOR, seed=seed, start=0, rows=whole)
        write_prior(folder / "prior-0.zarr", drawn, NAMES, key=name, start=0)
        simulate(
            folder / "prior-0.zarr", folder / "shard-0.zarr", "", rows=rows, seed=seed, key=name,
            block_size=100, chunk_size=100, simulator_name="linear_gaussian",
            simulator_options=self.options,
        )  # fmt: skip
        told = {"store": f"../simulations/{name}", "rows": rows, "seed": seed, "block_size": 100}
        self.stocks.insert(0, told | ({"source": source} if source else {}))

    def manifest(self, box, confined=()):
        """List the rows of all rounds within a box."""
        own, *others = [
            stock | ({"within": confined[name]} if name in confined else {})
            for stock in self.stocks
            for name in [Path(stock["store"]).name]
        ]
        names = [Path(stock["store"]).name for stock in self.stocks]
        Path("event").mkdir(exist_ok=True)
        manifests.manifest(
            receipts=[Path("simulations", name, "shard-0.json") for name in names],
            simulations=Path("event/simulations.json"),
            split=SPLIT,
            key="m",
            reused=others,
            box=box,
            model=Model("linear_gaussian", self.options, NAMES, ENTRIES),
            **{key: each for key, each in own.items() if key != "block_size"},
        )
        return Path("event/simulations.json")


def check(theta, box):
    z = BoxedPrior.of(PRIOR, box).to_normal(theta)
    for column in range(2):
        assert stats.kstest(z[:, column], "norm").pvalue > 1e-3
    assert abs(np.corrcoef(z.T)[0, 1]) < 4 / np.sqrt(len(z))


def test_pooled_rows_of_three_rounds_follow_the_prior_within_the_box(boxes):
    second, third, _ = boxes
    rounds = Rounds()
    rounds.add(4000)
    rounds.add(2000, {"box": second})
    rounds.add(1500, {"box": third})
    manifest = rounds.manifest(third)
    reader = open_campaign(manifest)
    content = json.loads(manifest.read_text())
    assert content["format"] == 3
    assert content["rows"] == reader.rows
    assert simulated_rows(content) == 1500
    view = reader.collect({"all": 10_000})["all"]
    assert len(view.theta) == reader.rows > 2000
    check(view.theta, third)
    counts = reader.counts()
    assert sum(counts[part] for part in PARTS) == reader.rows
    parts = reader.collect(dict.fromkeys(PARTS, 10_000))
    assert {part: len(each.theta) for part, each in parts.items()} == {
        part: counts[part] for part in PARTS
    }
    theta, status = reader.outcomes(10_000)
    np.testing.assert_array_equal(theta, view.theta)
    assert not status.any()
    masks = reader.first_masks(1000)
    assert [len(masks[part]) for part in PARTS] == [1000] * 3


def test_a_box_that_cuts_nothing_takes_all_rows():
    """Where a posterior tells nothing, the last round simulates the whole prior."""
    rounds = Rounds()
    rounds.add(400)
    rounds.add(300, {"box": {}})
    manifest = rounds.manifest({})
    content = json.loads(manifest.read_text())
    assert content["rows"] == open_campaign(manifest).rows == 700
    assert simulated_rows(content) == 300


def test_rows_of_a_joint_prior_of_the_users_own_are_told_apart():
    """Its ``keep`` takes a tuple, as it is promised."""
    model = Model("linear_gaussian", {"theta_dim": 2}, Disc.names, "joint_prior:Disc")
    box = {"right": (-0.5, 0.5)}
    Path("disc").mkdir()
    drawn = model.build_prior().from_uniform(np.random.default_rng(0).random((200, 2)))
    write_prior(Path("disc/prior-0.zarr"), drawn, Disc.names, key="k", start=0)
    simulations.simulate(
        prior=Path("disc/prior-0.zarr"), receipt=Path("disc/shard-0.json"), model=model, seed=1,
        start=0, rows=200, block_size=100, shard_size=200, key="k",
    )  # fmt: skip
    manifests.manifest(
        receipts=[Path("disc/shard-0.json")], simulations=Path("simulations.json"), store="disc",
        rows=200, split=SPLIT, seed=1, key="m", box=box, model=model,
    )  # fmt: skip
    inside = BoxedPrior(model.build_prior(), box).contains(drawn)
    assert json.loads(Path("simulations.json").read_text())["rows"] == inside.sum() > 50


def test_a_wider_box_is_filled_up_around_the_one_before(boxes):
    second, third, wider = boxes
    rounds = Rounds()
    rounds.add(4000)
    rounds.add(2000, {"box": second})
    rounds.add(1500, {"box": third})
    before = rounds.manifest(third)
    reader = open_campaign(before)
    listed = json.loads(before.read_text())
    box = Box(wider, 1.0, {}, 0, 0, beyond={"a": (False, True)})
    counted = count_within(reader, listed, PRIOR, box)
    assert counted["rows"] == reader.rows
    first = open_campaign(before.parent / "simulations.json").blocks
    assert {block.stock for block in first} == {0, 1, 2}
    volumes = [BoxedPrior.of(PRIOR, faces).volume for faces in (third, wider)]
    known = KnownBox("k", wider, volumes[1], volumes[1] / volumes[0], **counted, information=0.0)
    for wanted in (1000, 12_000):  # fewer than are dense enough, and many more
        fresh, share = known.wanted(wanted)
        again = Rounds()
        again.stocks, again.count = list(rounds.stocks), rounds.count + wanted
        again.add(fresh, {"box": wider, "hole": third, "share": share})
        confined = {"round1": third, "round2": third}  # simulated in boxes that do not hold it
        reader = open_campaign(again.manifest(wider, confined))
        view = reader.collect({"all": 50_000})["all"]
        check(view.theta, wider)
        assert len(view.theta) >= wanted - 1
        inside = BoxedPrior.of(PRIOR, third).contains(view.theta).sum()
        assert inside >= counted["rows"]  # none is thrown away


def test_rows_of_all_rounds_have_noise_at_load_also_where_a_block_has_none_of_a_part():
    rounds = Rounds(noise_at_load=True)
    rounds.add(4000)
    rounds.add(1500, {"box": THIRD})
    noise = Noise("linear_gaussian", rounds.options, 100, seed=7)
    reader = open_campaign(rounds.manifest(THIRD), NAMES, noise)
    quiet = open_campaign(Path("event/simulations.json"), NAMES)
    empty = [len(quiet.read(block, "test")["test"].row) == 0 for block in quiet.blocks]
    assert any(empty)
    assert not all(empty)
    for part, seen in reader.collect(dict.fromkeys(PARTS, 10_000)).items():
        stored = quiet.collect({part: 10_000})[part]
        np.testing.assert_array_equal(seen.row, stored.row)
        added = seen.x - stored.x
        assert len(np.unique(added)) == added.size > 0
        assert abs(stats.norm.cdf(added / 0.5) - 0.5).mean() == pytest.approx(0.25, abs=0.05)
    memory = 1e5  # too little for the rows, so that blocks are read in every epoch
    rows = prepare(reader, BoxedPrior(PRIOR, THIRD).to_normal, memory=memory, seed=1)
    assert isinstance(rows.source, Streamed)
    batches = list(rows.source.epoch(0, 10))
    assert sum(len(z) for z, _ in batches) > rows.source.rows - 10
