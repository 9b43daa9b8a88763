import numpy as np
import pandas as pd
import pytest
import torch
from test_failures import simulate, trained

import sbi_pipeline
from sbi_pipeline import estimators
from sbi_pipeline.training.search import candidates, forget, search

GRID = {"network": {"hidden": [8, 16]}, "training": {"learning_rate": [1e-2, 1e-3]}}
LOSSES = {(8, 1e-2): 3.0, (8, 1e-3): 1.5, (16, 1e-2): 1.0, (16, 1e-3): 2.0}


def test_candidates_are_all_combinations():
    found = candidates(GRID)
    pairs = [(each["network"]["hidden"], each["training"]["learning_rate"]) for each in found]
    assert pairs == list(LOSSES)
    assert candidates({}) == [{"network": {}, "training": {}}]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"hidden": [8, 16]}, "grid has 'hidden'; it can have network and training"),
        ({"network": {"hidden": 8}}, "grid.network.hidden is 8; wanted a list of values"),
        ({"training": {"patience": []}}, "grid.training.patience is"),
    ],
)
def test_other_grids_are_refused(grid, message):
    with pytest.raises(ValueError, match=message):
        candidates(grid)


def train(calls, method="npe", dies_at=None):
    def one(settings, checkpoint):
        if len(calls) == dies_at:
            raise SystemExit
        calls.append(checkpoint.name)
        z, x = torch.randn(50, 2), torch.randn(50, 2)
        made = estimators.build(method, z, x, seed=1, **settings["network"])
        pair = settings["network"]["hidden"], settings["training"].get("learning_rate", 1e-2)
        return made, pd.DataFrame({"validation_loss": [9.0, LOSSES[pair]]})

    return one


def test_the_candidate_that_validates_best_is_kept(tmp_path):
    checkpoint, calls = tmp_path / "train-key.checkpoint", []
    made, history, table = search(GRID, train(calls), checkpoint)
    assert calls == [f"train-key-{number}.checkpoint" for number in range(4)]
    assert made.spec["network"]["hidden"] == 16
    assert history.validation_loss.min() == 1.0
    assert [each["validation_loss"] for each in table] == list(LOSSES.values())
    forget(checkpoint)
    assert not list(tmp_path.iterdir())


def test_a_search_that_was_stopped_goes_on(tmp_path):
    checkpoint, first, second = tmp_path / "train-key.checkpoint", [], []
    with pytest.raises(SystemExit):
        search(GRID, train(first, dies_at=3), checkpoint)
    made, history, _ = search(GRID, train(second), checkpoint)
    assert (len(first), len(second)) == (3, 1)
    assert made.spec["network"]["hidden"] == 16
    assert list(history.validation_loss) == [9.0, 1.0]


def test_a_loss_that_does_not_judge_is_no_guide(tmp_path):
    grid = {"network": {"hidden": [8]}}
    with pytest.raises(ValueError, match="grid needs a loss that says how good"):
        search(grid, train([], "cmpe"), tmp_path / "train-key.checkpoint")


def test_a_grid_in_the_training_of_a_study(tmp_path):
    posterior = trained(
        simulate(tmp_path, 1000),
        "npe",
        max_epochs=1,
        grid={"network": {"hidden": [8, 16]}},
    )
    table = posterior.header["search"]
    assert [each["network"] for each in table] == [{"hidden": 8}, {"hidden": 16}]
    best = min(table, key=lambda each: each["validation_loss"])
    assert posterior.header["network"]["hidden"] == best["network"]["hidden"]
    assert not list(tmp_path.glob("train-*"))
    with pytest.raises(ValueError, match="trained on a, in this order; wanted b"):
        sbi_pipeline.load(tmp_path / "estimator.pt", parameters=["b"])


def test_tensorboard_is_told_each_epoch(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained(simulate(tmp_path, 1000), "npe", max_epochs=3, tensorboard=True)
    events = EventAccumulator(str(tmp_path / "tensorboard" / "train-t")).Reload()
    history = pd.read_csv(tmp_path / "history.csv")
    for name in ("train_loss", "validation_loss", "learning_rate"):
        told = [(event.step, event.value) for event in events.Scalars(name)]
        np.testing.assert_allclose(told, history[["epoch", name]].to_numpy(), rtol=1e-6)
