"""Simulations taken from other campaigns: listed, read as one, planned, and refused where wrong."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from shard_for_tests import NAMES, simulate

from sbi_pipeline import streams, study
from sbi_pipeline.stages import manifests
from sbi_pipeline.storage import reading
from sbi_pipeline.storage.manifest import split, stocks_of
from sbi_pipeline.storage.noise import Noise
from sbi_pipeline.storage.prior import write_prior
from sbi_pipeline.storage.reading import PARTS, open_campaign
from sbi_pipeline.storage.staging import staged
from sbi_pipeline.study import Plan
from sbi_pipeline.study.changes import changes
from sbi_pipeline.training.failures import learn_validity

TINY = yaml.safe_load(Path(__file__).with_name("config.yaml").read_text())
SPLIT = {"validation": 0.1, "test": 0.05}
QUIET = {"theta_dim": 1, "nuisances": 1, "x_dim": 3, "noise_at_load": True}
ROWS = {"own": 700, "first": 1300, "second": 400}
SEEDS = {"own": 5, "first": 6, "second": 7}
BLOCKS = {"own": 100, "first": 50, "second": 200}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    Path("tiny.py").write_text(Path(__file__).with_name("tiny.py").read_text())


def make(simulator, **options):
    """Simulate three keys; return the receipts of each."""
    receipts = {}
    for name, rows in ROWS.items():
        folder = Path("simulations", name)
        folder.mkdir(parents=True)
        drawn = streams.uniforms(SEEDS[name], "prior", 0, 2000, 2)
        write_prior(folder / "prior-0.zarr", drawn, NAMES, key=name, start=0)
        own = {"rows": rows, "seed": SEEDS[name], "block_size": BLOCKS[name], "key": name}
        shard = folder / "shard-0.zarr"
        simulate(folder / "prior-0.zarr", shard, simulator, chunk_size=200, **own, **options)
        receipts[name] = shard.with_suffix(".json")
    return receipts


def listed(receipts, *names, path="one/simulations.json", **changes):
    """Write the manifest of a campaign that reuses all but the first of some keys."""
    first, *others = names
    stocks = [
        {"store": f"../simulations/{name}", "rows": ROWS[name], "seed": SEEDS[name],
         "block_size": BLOCKS[name]}
        for name in others
    ]  # fmt: skip
    Path(path).parent.mkdir(exist_ok=True)
    keys = {f"reused receipts {n}": name for n, name in enumerate(others, 1)}
    manifests.manifest(
        receipts=[receipts[name] for name in names],
        simulations=Path(path),
        store=f"../simulations/{first}",
        rows=ROWS[first],
        split=SPLIT,
        seed=SEEDS[first],
        key="m",
        inputs={"receipts": first, **keys},
        **({"reused": stocks} if others else {}) | changes,
    )
    return Path(path)


@pytest.fixture
def quiet():
    return make("", simulator_name="linear_gaussian", simulator_options=QUIET)


def noise(name):
    return Noise("linear_gaussian", QUIET, BLOCKS[name], SEEDS[name])


def test_rows_of_several_keys_are_those_that_each_has_alone(quiet):
    """Parameters, data, part and noise of a row do not depend on who reads it."""
    several = open_campaign(listed(quiet, "own", "first", "second"), ["a"], noise("own"))
    alone = [
        open_campaign(listed(quiet, name, path=f"{name}/simulations.json"), ["a"], noise(name))
        for name in ROWS
    ]
    offsets = [0, 700, 2000]
    for part in PARTS:
        together = several.collect({part: 3000})[part]
        apart = [reader.collect({part: 3000})[part] for reader in alone]
        for field in ("theta", "x"):
            wanted = np.concatenate([getattr(view, field) for view in apart])
            np.testing.assert_array_equal(getattr(together, field), wanted)
        rows = [view.row + offset for view, offset in zip(apart, offsets, strict=True)]
        np.testing.assert_array_equal(together.row, np.concatenate(rows))
    assert several.counts() == sum(
        (reader.counts() for reader in alone), start=type(several.counts())()
    )
    whole = reading.load_simulations("one/simulations.json")
    np.testing.assert_array_equal(whole.row, np.arange(2400))


def test_parts_of_the_first_rows_are_by_key(quiet):
    reader = open_campaign(listed(quiet, "own", "first"))
    masks = reader.first_masks(1000)
    for part in PARTS:
        own = split(0, 700, seed=5, **SPLIT)[part]
        other = split(0, 300, seed=6, **SPLIT)[part]
        np.testing.assert_array_equal(masks[part], np.concatenate([own, other]))
    theta, status = reader.outcomes(1000)
    assert [block.index for block in reader.blocks[:5]] == [0, 200, 400, 600, 700]
    assert len(theta) == len(status) == 1000
    assert len(reader.some_parameters(10**6)) == 2000
    assert 300 <= len(reader.some_parameters(500)) <= 800


def test_a_manifest_of_one_key_has_the_form_it_had(quiet):
    content = json.loads(listed(quiet, "own").read_text())
    assert (content["format"], content["store"]) == (1, "../simulations/own")
    assert "stocks" not in content
    (stock,) = stocks_of(content)
    assert (stock.rows, stock.seed, stock.block_size, stock.source) == (700, None, None, None)
    several = json.loads(listed(quiet, "own", "first", source={"table": "t"}).read_text())
    assert (several["format"], several["rows"], several["simulation_key"]) == (2, 2000, "own")
    assert [stock.source for stock in stocks_of(several)] == [{"table": "t"}, None]
    Path("one/simulations.json").write_text(json.dumps({**several, "format": 4}))
    with pytest.raises(ValueError, match="has format 4; delete it and run snakemake again"):
        open_campaign(Path("one/simulations.json"))


def test_several_keys_are_copied_to_a_node(quiet, tmp_path):
    manifest = listed(quiet, "own", "first", "second")
    with staged(manifest, tmp_path) as near:
        assert near != manifest
        found, wanted = map(reading.load_simulations, (near, manifest))
        np.testing.assert_array_equal(found.x, wanted.x)


def test_failures_add_up():
    receipts = make("Moody", time_limit=0.2, simulator_options={})
    content = json.loads(listed(receipts, "own", "first", "second").read_text())
    each = [json.loads(path.read_text())["failures"] for path in receipts.values()]
    assert sum(map(len, each)) > 3
    for reason, count in content["failures"].items():
        assert count <= sum(one.get(reason, 0) for one in each)
    reader = open_campaign(Path("one/simulations.json"))
    assert reader.counts()["failed"] == sum(content["failures"].values()) > 0
    learn_validity(reader, lambda theta: 2 * theta - 1, seed=1)


def test_other_data_and_other_keys_are_refused(quiet):
    path = quiet["first"]
    receipt = json.loads(path.read_text())
    for entry, value in (("x_shape", [4]), ("x_dtype", "float32"), ("names", ["a"])):
        path.write_text(json.dumps(receipt | {entry: value}))
        said = "parameters" if entry == "names" else entry
        with pytest.raises(ValueError, match=rf"simulations/first has {said} .*own .*no one camp"):
            listed(quiet, "own", "first")
    path.write_text(json.dumps(receipt | {"key": "z"}))
    with pytest.raises(ValueError, match="has key z; the configuration wants first"):
        listed(quiet, "own", "first")


def config(**entries):
    """Two campaigns like the tiny one, the second with entries of its own."""
    made = copy.deepcopy(TINY)
    tiny = made["campaigns"]["tiny"]
    made["campaigns"]["more"] = {**copy.deepcopy(tiny), "simulations": 5000, "seed": 4}
    made["campaigns"]["more"] |= {"reuse": ["tiny"], **entries}
    return made


def test_reused_rows_count_and_the_rest_is_simulated():
    plan = Plan(config())
    tiny, more = (plan.campaigns[name] for name in ("tiny", "more"))
    assert [made.rows for made in tiny.stocks] == [2000]
    assert [made.rows for made in more.stocks] == [3000, 2000]
    assert more.stocks[1].name == tiny.simulations.name
    asked = plan["results/more/manifest.spec.json"]
    assert asked.arguments["rows"] == 3000
    assert asked.arguments["reused"] == [
        {
            "store": f"../simulations/{tiny.simulations.name}",
            "rows": 2000,
            "seed": 3,
            "block_size": 100,
        }
    ]
    assert asked.inputs == {
        "receipts": more.simulations.spec.key,
        "reused receipts 1": tiny.simulations.spec.key,
    }
    receipts = more.shard_receipts
    assert len(receipts) == 5
    assert receipts[3:] == tiny.shard_receipts
    grown = config()
    grown["campaigns"]["tiny"]["simulations"] = 2500
    assert [made.rows for made in Plan(grown).campaigns["more"].stocks] == [2500, 2500]


def test_what_is_reused_may_reuse_and_counts_once():
    made = config()
    third = {**made["campaigns"]["more"], "seed": 9, "simulations": 10_000}
    made["campaigns"]["third"] = {**third, "reuse": ["more", "tiny"]}
    stocks = Plan(made).campaigns["third"].stocks
    assert [each.rows for each in stocks] == [5000, 3000, 2000]
    study.take_configuration(made)


def test_reuse_changes_no_key_of_simulations():
    alone = config()
    del alone["campaigns"]["more"]["reuse"]
    names = [list(Plan(each).simulations) for each in (alone, config())]
    assert names[0] == names[1]
    assert Plan(config())["results/tiny/manifest.spec.json"].key == (
        Plan(TINY)["results/tiny/manifest.spec.json"].key
    )


def with_finished(plan):
    for path, spec in plan.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(spec.content))
    for made in plan.simulations.values():
        for receipt in made.receipts(made.rows):
            asked = json.loads(Path(receipt).with_suffix(".spec.json").read_text())
            Path(receipt).write_text(json.dumps({"rows": asked["arguments"]["rows"]}))


def told(plan, *targets):
    return [str(each) for each in changes(plan, targets)]


def test_why_tells_of_reused_simulations():
    with_finished(Plan(config()))
    assert told(Plan(config())) == []
    grown = config()
    grown["campaigns"]["tiny"]["simulations"] = 2100
    (manifest,) = [each for each in told(Plan(grown)) if each.startswith("manifest more")]
    assert manifest == "manifest more: reused[0].rows 2000 → 2100; rows 3000 → 2900"
    other = config()
    other["campaigns"]["tiny"]["seed"] = 8
    (manifest,) = [each for each in told(Plan(other)) if each.startswith("manifest more")]
    assert "reused[0].seed 3 → 8" in manifest
    assert "its reused receipts 1 are made anew" in manifest
    found = told(Plan(other), "results/more/simulations.json")
    assert any(each.startswith("simulate simulations/") for each in found)
    plan = Plan(config())
    Path(plan.campaigns["tiny"].shard_receipts[0]).unlink()
    assert "manifest more: a shard of it was deleted" in told(plan)


def ring(made):
    made["campaigns"]["tiny"]["reuse"] = ["more"]


def below(**entries):
    return lambda made: made["campaigns"]["tiny"].update(entries)


def prior(**entries):
    return lambda made: made["campaigns"]["tiny"]["priors"].update(entries)


REFUSED = {
    "unknown": (lambda m: m["campaigns"]["more"].update(reuse=["tinny"]),
                r"reuse\[0\]: no campaign 'tinny'; did you mean 'tiny'\? there are tiny, more"),
    "itself": (lambda m: m["campaigns"]["more"].update(reuse=["more"]),
               "more.reuse: 'more' would reuse its own simulations"),
    "ring": (ring, "more.reuse: 'tiny' would reuse its own simulations; take it out of one list"),
    "seed": (below(seed=4), "more.reuse: 'more' and 'tiny' have the same seed, 4, so their rows"),
    "prior": (prior(slope={"type": "normal", "mean": 0, "sd": 2}),
              r"more.reuse\[0\]: 'tiny' has other simulations: priors.slope.sd is 2, here 1; want"),
    "simulator": (below(simulator="other_tiny:Tiny"),
                  "'tiny' has other simulations: simulator is 'other_tiny:Tiny', here 'tiny:Tiny'"),
    "version": (below(code_version="2"), "other simulations: code_version is '2', here None"),
    "stored": (below(store_nuisance=False), "store_nuisance is False, here True"),
    "too few": (below(simulations=5000),
                "more.simulations: got 5000, of which 5000 are reused; wanted more than these"),
    "sweep": (lambda m: m.update(sweeps={"s": {"campaign": "more", "simulations": [1500, 5000]}}),
              "sweeps.s.simulations: got 1500; more reuses 2000, wanted more than these"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_go_together_is_one_line(what):
    Path("other_tiny.py").write_text(Path("tiny.py").read_text())
    change, message = REFUSED[what]
    made = config()
    change(made)
    with pytest.raises(study.ConfigurationError, match=message):
        study.take_configuration(made)


def test_texts_of_priors_may_differ():
    made = config()
    made["campaigns"]["tiny"]["priors"]["slope"]["unit"] = "km/s"
    study.take_configuration(made)


def test_a_sweep_takes_the_reused_rows_of_its_campaign():
    made = config()
    made["sweeps"] = {"s": {"campaign": "more", "estimators": ["npe"], "simulations": [3000, 5000]}}
    plan = Plan(study.take_configuration(made))
    rows = {name: [each.rows for each in one.stocks] for name, one in plan.campaigns.items()}
    assert (rows["s_3000"], rows["s_5000"]) == ([1000, 2000], [3000, 2000])
    largest = plan["results/s_5000/manifest.spec.json"].key
    asked = plan["results/s_3000/s_npe_seed1/calibrate.spec.json"]
    assert asked.inputs["simulations"] == largest


def test_a_table_for_more_rows_is_another_campaign():
    Path("draws.csv").write_text("slope\n" + "0.1\n" * 3000)
    made = config(source={"table": "draws.csv"})
    study.take_configuration(made)
    plan = Plan(made)
    assert plan["results/more/manifest.spec.json"].arguments["source"] == {"table": "draws.csv"}
    made["sweeps"] = {"s": {"campaign": "more", "estimators": ["npe"], "simulations": [3000, 5001]}}
    with pytest.raises(study.ConfigurationError, match=r"^sweeps.s.simulations: 3001 are to be"):
        study.take_configuration(made)
    Path("draws.csv").rename("there.csv")
    with pytest.raises(study.ConfigurationError, match=r"more.source: table draws.csv: no such"):
        study.take_configuration(made)
    Path("there.csv").rename("draws.csv")
    del made["sweeps"]
    made["campaigns"]["more"]["simulations"] = 5001
    with pytest.raises(
        study.ConfigurationError,
        match=r"more.simulations: 3001 are to be simulated from table draws.csv, which has 3000",
    ):
        study.take_configuration(made)


def test_why_tells_that_a_table_was_edited():
    Path("draws.csv").write_text("slope\n" + "0.1\n" * 3000)
    with_finished(Plan(config(source={"table": "draws.csv"})))
    assert told(Plan(config(source={"table": "draws.csv"}))) == []
    Path("draws.csv").write_text("slope\n" + "0.2\n" * 3000)
    found = told(Plan(config(source={"table": "draws.csv"})))
    assert found[0].endswith("prior-0: file draws.csv changed")
    (manifest,) = [each for each in found if each.startswith("manifest more")]
    assert "simulations: file draws.csv changed" in manifest
    (manifest,) = [each for each in told(Plan(config())) if each.startswith("manifest more")]
    assert 'source {"table": "draws.csv"} → default' in manifest
