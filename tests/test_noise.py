from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from shard_for_tests import SEED, make, manifest_of
from test_training import Interrupted, Line

from sbi_pipeline import estimators, priors, samplers, signals, streams, study
from sbi_pipeline.campaigns.given_rows import Engine
from sbi_pipeline.model import Model
from sbi_pipeline.simulators.linear_gaussian import LinearGaussian
from sbi_pipeline.storage.noise import Noise, add_noise, is_at_load
from sbi_pipeline.storage.reading import PARTS, open_campaign
from sbi_pipeline.training.fit import fit_source
from sbi_pipeline.training.sources import Streamed, prepare

OPTIONS = {"theta_dim": 1, "nuisances": 1, "x_dim": 3, "noise_at_load": True}
SPLIT = {"seed": 3, "validation": 0.1, "test": 0.05}


class OneByOne(LinearGaussian):
    vectorised = False

    def __call__(self, parameters, rng):
        return super().__call__(parameters[None], rng)[0]


def noise(simulator="linear_gaussian", **options):
    return Noise(simulator, OPTIONS | options, 1000, SEED)


def campaign_of(folder, rows, simulator="linear_gaussian", chunk_size=1000, **options):
    name = f"{'test_noise:' if simulator == 'OneByOne' else ''}{simulator}"
    orders = {"simulator_name": name, "simulator_options": OPTIONS | options}
    make(folder, rows, simulator, rows, chunk_size=chunk_size, **orders)
    manifest = manifest_of(folder / "shard-0.zarr", rows, **SPLIT)
    return open_campaign(manifest, ["a"], noise(name, **options))


@pytest.mark.parametrize("simulator", ["linear_gaussian", "OneByOne"])
def test_a_draw_is_that_of_row_part_and_epoch_alone(tmp_path, simulator):
    small = campaign_of(tmp_path / "small", 2000, simulator)
    other = campaign_of(tmp_path / "large", 2000, simulator, chunk_size=2000)
    views = [
        {part: reader.collect({part: 2000})[part] for part in PARTS} for reader in (small, other)
    ]
    for part in PARTS:
        assert views[0][part].x.tobytes() == views[1][part].x.tobytes()
    stored = small.read(small.blocks[0], "train")["train"]
    draws = [small.observed(small.blocks[0], stored, "train", epoch).x for epoch in (0, 1, 0)]
    np.testing.assert_array_equal(draws[0], draws[2])
    added = [(draw - stored.x).ravel() for draw in draws]
    assert added[0].std() == pytest.approx(0.5, abs=0.03)
    assert abs(np.corrcoef(added[0], added[1])[0, 1]) < 0.1


@pytest.mark.parametrize("simulator", ["linear_gaussian", "OneByOne"])
def test_a_block_may_have_no_row_of_a_part(tmp_path, simulator):
    """Of an earlier round few rows of a block lie in the box, or none."""
    reader = campaign_of(tmp_path, 3000, simulator)
    inside = np.zeros(1000, bool), np.arange(1000) < 2, np.ones(1000, bool)
    blocks = [
        replace(block, inside=mask) for block, mask in zip(reader.blocks, inside, strict=True)
    ]
    reader = replace(reader, blocks=blocks)
    views = reader.collect(dict.fromkeys(PARTS, 3000))
    counts = reader.counts()
    assert {part: len(view.x) for part, view in views.items()} == {
        part: counts[part] for part in PARTS
    }
    assert sum(counts.values()) == 1002
    rows = prepare(reader, lambda theta: theta, memory=1e6, seed=1)
    assert isinstance(rows.source, Streamed)
    assert sum(len(z) for z, _ in rows.source.epoch(1, 2)) == rows.source.rows // 2 * 2


def test_blocks_and_rows_have_streams_of_their_own():
    x, row = np.zeros((3000, 3)), np.arange(3000)
    drawn = noise()(x, row, "test")
    again = noise()(x[1000:2000], row[1000:2000], "test")
    np.testing.assert_array_equal(drawn[1000:2000], again)
    assert len(np.unique(drawn)) == drawn.size


def test_observations_and_predictions_have_the_noise():
    parameters = np.zeros((500, 2))
    quiet, loud = (
        Model("linear_gaussian", OPTIONS | {"noise_at_load": at_load}, ("a", "b"), {})
        for at_load in (True, False)
    )
    drawn = []
    for model in (quiet, loud):
        with Engine(model, "test") as engine:
            drawn.append(engine.replicate(parameters, seed=1).x)
    np.testing.assert_array_equal(*drawn)
    assert drawn[0].std() == pytest.approx(0.5, abs=0.05)
    assert not quiet.build_simulator()(parameters, streams.generator(1, "test")).any()


def fitted(folder, line, epochs=4, **others):
    rows = prepare(campaign_of(folder, 2000), lambda theta: 2 * theta - 1, memory=1e6, seed=1)
    assert isinstance(rows.source, Streamed)
    options = {"max_epochs": epochs, "batch_size": 100, "learning_rate": 0.1, "progress": False}
    fit_source(line, rows.source, rows.held_out, seed=1, device="cpu", **options, **others)
    return line


class Watched(Line):
    """Notes the data of its losses."""

    def loss(self, z, x):
        self.seen.append(x.sum().item())
        return super().loss(z, x[:, :1].float())


class Stopped(Interrupted):
    def loss(self, z, x):
        return super().loss(z, x[:, :1].float())


def test_every_epoch_has_other_noise_and_the_validation_the_same(tmp_path):
    line = fitted(tmp_path, Watched(), 2, average=0)
    untrained, *epochs = line.seen[::2]  # of the validation rows, before all epochs
    first, second = np.split(np.array(epochs), 2)  # the last of each is the validation's
    assert abs(first[:-1].sum() - second[:-1].sum()) > 1
    assert first[-1] == second[-1] == untrained


def test_a_killed_training_with_noise_resumes_to_the_same_result(tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(signals.Interrupted, match="SIGTERM"):
        fitted(tmp_path, Stopped(30), checkpoint=checkpoint)
    assert checkpoint.exists()
    resumed = fitted(tmp_path, Watched(), checkpoint=checkpoint)
    expected = fitted(tmp_path, Watched())
    assert len(resumed.seen) < len(expected.seen)
    assert torch.equal(resumed.a, expected.a)


class NoHook:
    noise_at_load = True


class Wrong(LinearGaussian):
    def __init__(self, how):
        super().__init__(**OPTIONS)
        self.how = how

    def observe(self, x, rng):
        match self.how:
            case "shape":
                return x[:5]
            case "raise":
                raise RuntimeError("no luck")
        return np.full_like(x, np.nan)


def test_a_hook_that_is_missing_or_wrong_is_one_line():
    with pytest.raises(ValueError, match="NoHook says noise_at_load = True and has no observe"):
        is_at_load(NoHook())
    rng = np.random.default_rng(1)
    with pytest.raises(ValueError, match=r"Wrong.observe returned shape \(5, 3\) for 10 rows"):
        add_noise(Wrong("shape"), np.zeros((10, 3)), rng)
    with pytest.raises(ValueError, match=r"Wrong.observe raised RuntimeError: no luck"):
        add_noise(Wrong("raise"), np.zeros((10, 3)), rng)
    with pytest.raises(ValueError, match="NaN or infinity in row 70"):
        Noise("test_noise:Wrong", {"how": "nan"}, 1000, 1)(np.zeros((1, 3)), np.array([70]), "test")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_noise_at_load_gives_the_posterior_of_the_noisy_model(tmp_path):
    """Trained on a store without noise, against the closed form with it."""
    torch.set_num_threads(1)
    rows, simulator = 20_000, LinearGaussian()
    uniform = {"type": "uniform", "min": 0, "max": 1}
    prior = priors.build({"a": uniform, "b": uniform}, ("a", "b"))
    changes = {"nuisances": 0, "theta_dim": 2, "x_dim": 6}
    campaign_of(tmp_path, rows, chunk_size=5000, **changes)
    reader = open_campaign(tmp_path / "simulations.json", ["a", "b"], noise(**changes))
    data = prepare(reader, prior.to_normal, memory=2e9, seed=1)
    made = estimators.build("npe", *data.sample, seed=1)
    fit_source(made, data.source, data.held_out, seed=1, threads=1)
    truth, rng = np.array([[0.3, 0.6], [0.7, 0.4]]), streams.generator(9, "observe")
    x = add_noise(simulator, simulator(truth, rng), rng)
    found = samplers.draw(made, x, 10_000, seed=2).flat(10_000)
    grid = (np.arange(200) + 0.5) / 200
    points = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1).reshape(-1, 2)
    for x_o, z in zip(x, found, strict=True):
        weight = np.exp(simulator.log_likelihood(points, x_o))
        weight /= weight.sum()
        mean = weight @ points
        sd = np.sqrt(weight @ (points - mean) ** 2)
        draws = prior.from_normal(z)
        assert np.abs((draws.mean(0) - mean) / sd).max() < 0.1
        assert np.abs(draws.std(0) / sd - 1).max() < 0.07


def test_every_stage_that_reads_data_is_told_of_noise_at_load():
    def specs(**options):
        campaign = {
            "simulator": "linear_gaussian",
            "options": options,
            "simulations": 1000,
            "priors": {
                name: {"type": "normal", "mean": 0, "sd": 1} for name in ("theta_1", "theta_2")
            },
            "inferred_parameters": ["theta_1"],
        }
        config = {"campaigns": {"c": campaign}, "estimators": {"npe": {"method": "npe"}}}
        return {path: spec.arguments for path, spec in study.Plan(config).items()}

    told = {Path(path).name for path, spec in specs(noise_at_load=True).items() if "noise" in spec}
    assert told == {"train.spec.json", "calibrate.spec.json", "report.spec.json"}
    assert not any("noise" in spec for spec in specs().values())
    spec = specs(noise_at_load=True)["results/c/npe/train.spec.json"]
    assert Noise(**spec["noise"]).options == {"noise_at_load": True}
