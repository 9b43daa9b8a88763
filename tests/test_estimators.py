"""What holds for every estimator, and for its file."""

import logging

import numpy as np
import pytest
import torch
from estimators_for_tests import (
    DRAWING,
    METHODS,
    SMALL,
    WITH_DENSITY,
    counts,
    gaussian,
    small,
    train,
)

from sbi_pipeline import estimators


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("x_shape", [(3,), (1,), (4, 2)])
@pytest.mark.parametrize("theta_dim", [1, 2, 5])
def test_shapes(method, x_shape, theta_dim):
    z, x = torch.randn(50, theta_dim), torch.randn(50, *x_shape)
    estimator = estimators.build(method, z, x, seed=1, **small(method))
    loss = estimator.loss(z, x)
    assert loss.shape == (50,)
    assert loss.dtype == torch.float32
    loss.mean().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in estimator.parameters())
    assert estimator.spec["x_shape"] == list(x_shape)


@pytest.mark.parametrize("method", WITH_DENSITY)
@pytest.mark.parametrize("data", [gaussian, counts])
def test_one_data_set_is_broadcast(method, data):
    z, x = data(40)
    estimator = estimators.build(method, z, x, seed=1, **small(method)).eval()
    single = estimator.log_prob(z, x[3])
    paired = estimator.log_prob(z, x[3].expand(40, -1))
    assert single.shape == (40,)
    torch.testing.assert_close(single, paired)


@pytest.mark.parametrize("method", DRAWING)
def test_draws(method):
    z, x = gaussian(40, dim=3)
    estimator = estimators.build(method, z, x, seed=1, **small(method)).eval()
    draws = estimator.sample(7, x[3])
    assert draws.shape == (7, 3)
    assert not draws.requires_grad
    assert estimator.sample_many(7, x[:5]).shape == (5, 7, 3)


@pytest.mark.parametrize("method", METHODS)
def test_saved_and_loaded_is_the_same(method, tmp_path):
    z, x = counts(100)
    estimator = estimators.build(method, z, x, seed=1, **small(method))
    train(estimator, z, x, max_epochs=1)
    path = tmp_path / "estimator.pt"
    estimators.save_estimator(path, estimator, {"key": "abc", "inferred_parameters": ["rate"]})
    again, header = estimators.load_estimator(path)
    assert header["key"] == "abc"
    assert header["method"] == method
    assert header["theta_dim"] == 1
    for one, other in zip(*(e.state_dict().values() for e in (estimator, again)), strict=True):
        assert torch.equal(one, other)
    torch.manual_seed(1)
    loss = estimator.loss(z, x)
    torch.manual_seed(1)
    assert torch.equal(again.loss(z, x), loss)
    assert [p.name for p in tmp_path.iterdir()] == ["estimator.pt"]
    estimators.save_estimator(tmp_path / "copy.pt", again, header)
    assert estimators.load_estimator(tmp_path / "copy.pt")[1] == header


@pytest.mark.parametrize("method", METHODS)
def test_complex_data_are_refused(method):
    z, x = gaussian(50)
    with pytest.raises(ValueError, match=r"x is complex; .* stack real and imaginary part"):
        estimators.build(method, z, x + 1j, seed=1)


@pytest.mark.parametrize("method", METHODS)
def test_the_seed_decides_the_weights_and_nothing_else(method):
    z, x = gaussian(50)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, two, three = (
        estimators.build(method, z, x, seed=seed, **small(method)).state_dict()
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], three[name]) for name in one)


@pytest.mark.parametrize("method", METHODS)
def test_constant_columns_are_named_and_survived(method, caplog):
    z, x = gaussian(400, dim=1)
    x = torch.cat((torch.full((400, 1), 7.0), x, torch.zeros(400, 1)), 1)
    with caplog.at_level(logging.WARNING):
        estimator = estimators.build(method, z, x, seed=1, **small(method))
    assert "at column 0, 2" in caplog.text
    history = train(estimator, z, x, max_epochs=2)
    assert np.isfinite(history.validation_loss).all()


@pytest.mark.parametrize("method", METHODS)
def test_wrong_data_is_refused(method):
    z, x = gaussian(50)
    with pytest.raises(ValueError, match=r"x has NaN or infinity in 1 of 50 rows, first in row 7"):
        estimators.build(method, z, x.index_fill(0, torch.tensor(7), torch.nan), seed=1)
    with pytest.raises(ValueError, match="z has values that are not finite"):
        estimators.build(method, z.index_fill(0, torch.tensor(7), torch.inf), x, seed=1)
    with pytest.raises(ValueError, match=r"z has shape \(50, 2\) and x \(49, 2\)"):
        estimators.build(method, z, x[1:], seed=1)
    estimator = estimators.build(method, z, x, seed=1, **small(method))
    with pytest.raises(ValueError, match=r"trained on data sets of shape \(2,\)"):
        estimator.loss(z, torch.zeros(50, 3))


@pytest.mark.parametrize("method", METHODS)
def test_wrong_options_are_refused(method):
    z, x = gaussian(50)
    with pytest.raises(ValueError, match=f"network options of {method}: .*'hiden'"):
        estimators.build(method, z, x, seed=1, hiden=3)
    with pytest.raises(ValueError, match="transform is 'cube'; it can be none, log1p"):
        estimators.build(method, z, x, seed=1, transform="cube")


# Files --------------------------------------------------------------------------------------------


def test_a_newer_format_is_refused(tmp_path):
    path = tmp_path / "estimator.pt"
    torch.save({"header": {"format": 99}, "state": {}}, path)
    with pytest.raises(ValueError, match="has format 99; this version reads 3: upgrade"):
        estimators.load_estimator(path)


def changed(path, change):
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)


def test_an_older_format_is_refused(tmp_path):
    path = tmp_path / "estimator.pt"
    torch.save({"header": {"format": 1, "method": "npe"}, "state": {}}, path)
    with pytest.raises(ValueError, match=r"older version \(format 1.*lacks network, members"):
        estimators.load_estimator(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["state"].popitem(), "1 of .* tensors differ, first .* is missing, wanted"),
        (lambda c: c["state"].update(more=torch.ones(2)), r"first more is \(2,\), wanted nothing"),
        (lambda c: c["header"].update(theta_dim=3), r"tensors differ, first .* wanted \("),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, change, message):
    z, x = gaussian(50)
    path = tmp_path / "estimator.pt"
    estimators.save_estimator(path, estimators.build("npe", z, x, seed=1, **SMALL), {})
    changed(path, change)
    with pytest.raises(ValueError, match=message):
        estimators.load_estimator(path)


def test_what_is_no_estimator_is_refused(tmp_path):
    path = tmp_path / "estimator.pt"
    path.write_bytes(b"not a model")
    with pytest.raises(ValueError, match="cannot be read as an estimator"):
        estimators.load_estimator(path)


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path, monkeypatch):
    z, x = gaussian(50)
    npe = estimators.build("npe", z, x, seed=1, **SMALL)
    path = tmp_path / "estimator.pt"
    estimators.save_estimator(path, npe, {"key": "old"})

    def full(content, file):
        file.write(b"some")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(ValueError, match=r"estimator.pt cannot be written: .*No space left"):
        estimators.save_estimator(path, npe, {"key": "new"})
    assert estimators.load_estimator(path)[1]["key"] == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["estimator.pt"]


@pytest.mark.parametrize(
    ("rows", "options", "width"),
    [
        (1_000, {}, 32),
        (100_000, {}, 64),
        (10**8, {}, 128),
        (100_000, {"flow": "maf"}, 128),
        (100_000, {"hidden": 24}, 24),
    ],
)
def test_networks_grow_with_the_rows_they_learn_from(rows, options, width):
    z, x = torch.randn(50, 2), torch.randn(50, 3)
    made = estimators.build("npe", z, x, seed=1, rows=rows, **options)
    assert made.spec["network"]["hidden"] == width
