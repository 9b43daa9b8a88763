import logging

import numpy as np
import pytest
import torch

from sbi_pipeline import estimators, registry
from sbi_pipeline.estimators.ensemble import share_out, stack
from sbi_pipeline.posterior import log_posterior
from sbi_pipeline.training.fit import fit

METHODS = sorted(registry.ESTIMATORS)
FLOWS = ["npe", "nle"]
WITH_DENSITY = [method for method in METHODS if method != "cmpe"]
DRAWING = ["npe", "fmpe", "cmpe"]
SMALL = {"hidden": 16, "transforms": 2}


def small(method):
    return SMALL if method in FLOWS else {"hidden": 16, "blocks": 1}


def gaussian(n, seed=0, dim=2):
    """Return z ~ N(0, I) and x = z + 0.5 N(0, I): the posterior is N(0.8 x, 0.2 I)."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, dim, generator=generator)
    return z, z + 0.5 * torch.randn(n, dim, generator=generator)


def counts(n, seed=0):
    """Return z ~ N(0, 1) and three Poisson counts of mean exp(1 + 0.5 z)."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, 1, generator=generator)
    mean = (1 + 0.5 * z).exp().expand(n, 3)
    return z, torch.poisson(mean, generator=generator).long()


def train(estimator, z, x, **options):
    held_out = np.arange(len(z)) % 10 == 0
    settings = {"max_epochs": 30, "batch_size": 128, "seed": 1, "progress": False, "device": "cpu"}
    return fit(estimator, z, x, train=~held_out, validation=held_out, **{**settings, **options})


# What holds for every method ----------------------------------------------------------------------


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
    estimators.save(path, estimator, {"key": "abc", "inferred_parameters": ["rate"]})
    again, header = estimators.load(path)
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
    estimators.save(tmp_path / "copy.pt", again, header)
    assert estimators.load(tmp_path / "copy.pt")[1] == header


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
    with pytest.raises(ValueError, match="has format 99; this version reads 2: upgrade"):
        estimators.load(path)


def changed(path, change):
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)


def test_an_older_format_is_refused(tmp_path):
    path = tmp_path / "estimator.pt"
    torch.save({"header": {"format": 1, "method": "npe"}, "state": {}}, path)
    with pytest.raises(ValueError, match=r"older version \(format 1.*lacks network, members"):
        estimators.load(path)


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
    estimators.save(path, estimators.build("npe", z, x, seed=1, **SMALL), {})
    changed(path, change)
    with pytest.raises(ValueError, match=message):
        estimators.load(path)


def test_what_is_no_estimator_is_refused(tmp_path):
    path = tmp_path / "estimator.pt"
    path.write_bytes(b"not a model")
    with pytest.raises(ValueError, match="cannot be read as an estimator"):
        estimators.load(path)


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path, monkeypatch):
    z, x = gaussian(50)
    npe = estimators.build("npe", z, x, seed=1, **SMALL)
    path = tmp_path / "estimator.pt"
    estimators.save(path, npe, {"key": "old"})

    def full(content, file):
        file.write(b"some")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(ValueError, match=r"estimator.pt cannot be written: .*No space left"):
        estimators.save(path, npe, {"key": "new"})
    assert estimators.load(path)[1]["key"] == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["estimator.pt"]


# NPE ----------------------------------------------------------------------------------------------


def moments(log_density, grid):
    """Return mass, mean and sd of a log density on a two-dimensional grid of spacing 0.1."""
    density = log_density.exp() * 0.1**2
    mean = (density[:, None] * grid).sum(0) / density.sum()
    sd = ((density[:, None] * (grid - mean) ** 2).sum(0) / density.sum()).sqrt()
    return density.sum().item(), mean, sd


@pytest.mark.parametrize(
    ("method", "options"),
    [("npe", {"flow": flow, **SMALL}) for flow in ("nsf", "nsf_ar", "maf")]
    + [("npe", {"flow": "mdn", "hidden": 16, "components": 3})]
    + [("fmpe", {"hidden": 32, "blocks": 2, "tolerance": 1e-5})],
    ids=["nsf", "nsf_ar", "maf", "mdn", "fmpe"],
)
def test_density_is_normalised_and_agrees_with_its_draws(method, options):
    z, x = gaussian(2000)
    estimator = estimators.build(method, z, x, seed=1, **options)
    train(estimator, z, x, max_epochs=3)
    axis = torch.arange(-60, 61) * 0.1
    grid = torch.cartesian_prod(axis, axis)
    with torch.inference_mode():
        mass, mean, sd = moments(estimator.log_prob(grid, x[0]), grid)
        torch.manual_seed(1)
        draws = estimator.sample(20_000, x[0])
    assert mass == pytest.approx(1, abs=0.005)
    torch.testing.assert_close(draws.mean(0), mean, atol=0.02, rtol=0)
    torch.testing.assert_close(draws.std(0), sd, atol=0.02, rtol=0)


def test_npe_samples_many_data_sets_at_once():
    z, x = gaussian(2000)
    npe = estimators.build("npe", z, x, seed=1, **SMALL)
    train(npe, z, x, max_epochs=5)
    torch.manual_seed(1)
    with torch.no_grad():
        draws = npe.sample_many(2000, torch.tensor([[-2.0, 0.0], [2.0, 1.0], [0.0, 0.0]]))
        alone = npe.sample(2000, torch.tensor([2.0, 1.0]))
    assert draws.shape == (3, 2000, 2)
    torch.testing.assert_close(draws[1].mean(0), alone.mean(0), atol=0.05, rtol=0)
    assert draws[0, :, 0].mean() < -1


def test_npe_cannot_leave_the_prior_far():
    # Data without information: the posterior is the prior, N(0, I) in z.
    z, _ = gaussian(4000)
    x = torch.randn(4000, 2, generator=torch.Generator().manual_seed(3))
    npe = estimators.build("npe", z, x, seed=1, **SMALL)
    history = train(npe, z, x, max_epochs=5)
    entropy = np.log(2 * np.pi * np.e)
    assert history.validation_loss.min() == pytest.approx(entropy, abs=0.1)


def test_cmpe_says_that_it_has_no_density():
    z, x = gaussian(50)
    cmpe = estimators.build("cmpe", z, x, seed=1, **small("cmpe"))
    with pytest.raises(ValueError, match="cmpe has no density: log_prob is not available"):
        cmpe.log_prob(z, x)
    assert np.isnan(log_posterior(cmpe, x[:3].numpy())(z[None, :5].expand(3, 5, 2).numpy())).all()


# NLE ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", ["none", "asinh"])
def test_nle_density_is_per_unit_of_x(transform):
    z, x = gaussian(500, dim=1)
    nle = estimators.build("nle", z, 100 + 20 * x, seed=1, transform=transform, **SMALL)
    train(nle, z, 100 + 20 * x, max_epochs=3)
    axis = torch.linspace(-300, 500, 40_001)[:, None]
    with torch.no_grad():
        for one in (-1.0, 0.7):
            density = nle.log_prob(torch.full_like(axis, one), axis).exp().sum() * 0.02
            assert density.item() == pytest.approx(1, abs=0.005)


@pytest.mark.parametrize("transform", ["log1p", "sqrt", "asinh", "none"])
def test_nle_of_counts_is_a_distribution_over_whole_numbers(transform):
    z, x = counts(2000)
    nle = estimators.build("nle", z, x[:, :1], seed=1, transform=transform, **SMALL)
    train(nle, z, x[:, :1], max_epochs=10)
    numbers = torch.arange(0, 200)[:, None]
    with torch.no_grad():
        mass = nle.log_prob(torch.zeros(200, 1), numbers).exp()
    exact = torch.distributions.Poisson(torch.tensor(1.0).exp()).log_prob(numbers[:, 0]).exp()
    assert mass.sum().item() == pytest.approx(1, abs=0.03)
    assert 0.5 * (mass - exact).abs().sum() < 0.12


def test_nle_chooses_by_the_data():
    z, x = counts(200)
    chosen = estimators.build("nle", z, x, seed=1, **SMALL).spec["network"]
    assert chosen["transform"] == "log1p"
    assert chosen["dequantise"] is True
    chosen = estimators.build("nle", z, torch.randn(200, 3), seed=1, **SMALL).spec["network"]
    assert chosen["transform"] == "none"
    assert chosen["dequantise"] is False
    heavy = torch.distributions.StudentT(1.0).sample((200, 3))
    chosen = estimators.build("nle", z, heavy, seed=1, **SMALL).spec["network"]
    assert chosen["transform"] == "asinh"


def test_nle_refuses_data_that_never_vary():
    z, _ = gaussian(50)
    with pytest.raises(ValueError, match="there is no likelihood to learn"):
        estimators.build("nle", z, torch.ones(50, 2), seed=1)


@pytest.mark.parametrize("method", ["nle", "nre"])
def test_likelihoods_and_ratios_draw_no_parameters(method):
    z, x = gaussian(50)
    with pytest.raises(ValueError, match="cannot draw parameters; sample it by MCMC"):
        estimators.build(method, z, x, seed=1, **small(method)).sample(10, x[0])


# Ensembles ----------------------------------------------------------------------------------------


def trio(method, data=gaussian):
    z, x = data(200)
    return z, x, estimators.build(method, z, x, seed=1, members=3, **small(method))


@pytest.mark.parametrize("method", METHODS)
def test_members_are_trained_as_if_alone(method):
    # Without noise in the loss, the gradient of a member's weights is that of the member alone.
    z, x, ensemble = trio(method)
    if method in ("fmpe", "cmpe"):
        pytest.skip("has noise in its loss")
    ensemble.eval().loss(z, x).sum().backward()
    alone = estimators.build(method, z, x, seed=1, **small(method))  # the first member
    (alone.loss(z, x).sum() / 3).backward()
    for stacked, (name, weights) in zip(ensemble.stacked, alone.named_parameters(), strict=True):
        torch.testing.assert_close(stacked[0], weights, msg=name)
        torch.testing.assert_close(stacked.grad[0], weights.grad, atol=1e-4, rtol=1e-4)
    assert any(not torch.equal(weights[0], weights[1]) for weights in ensemble.stacked)


@pytest.mark.parametrize("method", METHODS)
def test_an_ensemble_learns_and_is_saved(method, tmp_path):
    z, x, ensemble = trio(method, counts)
    start = [weights.detach().clone() for weights in ensemble.stacked]
    ensemble.loss_judges = False  # it keeps what it learns, were it worse than the regression
    train(ensemble, z, x, max_epochs=2)
    assert not any(torch.equal(*pair) for pair in zip(start, ensemble.stacked, strict=True))
    estimators.save(tmp_path / "estimator.pt", ensemble, {})
    again, header = estimators.load(tmp_path / "estimator.pt")
    assert header["members"] == 3
    for one, other in zip(ensemble.stacked, again.stacked, strict=True):
        assert torch.equal(one, other)
    assert again.target == ensemble.target


def test_members_learn_from_rows_of_their_own():
    z, x, ensemble = trio("npe")
    seen = []
    ensemble.structure.loss = lambda z, x: seen.append((z, x)) or z.sum(1)
    torch.manual_seed(1)
    losses = torch.stack([ensemble.train().loss(z, x) for _ in range(50)])
    assert losses.shape == (50, 80)
    torch.testing.assert_close(losses.mean(), z.sum(1).mean(), atol=0.05, rtol=0)
    assert ensemble.eval().loss(z, x).shape == (200,)


def test_the_mixture_is_weighted_by_held_out_density():
    z, x, ensemble = trio("npe")
    with torch.no_grad():  # make the second member certain, and wrong
        for name, weights in zip(ensemble.names, ensemble.stacked, strict=True):
            if name.endswith("net.last.bias"):
                weights[1] += 3.0
    ensemble.eval().weigh(z, x)
    assert ensemble.mixture.sum().item() == pytest.approx(1)
    assert ensemble.mixture[1] < 0.02
    draws = ensemble.sample_many(1000, x[:2])
    assert draws.shape == (2, 1000, 2)


def test_stacking_finds_the_weights_of_a_mixture():
    generator = torch.Generator().manual_seed(1)
    one = torch.rand(20_000, generator=generator) < 0.7
    x = torch.randn(20_000, generator=generator) + torch.where(one, 2.0, -2.0)
    log_prob = -0.5 * torch.stack([(x - 2) ** 2, (x + 2) ** 2, (x - 9) ** 2], 1)
    weights = stack(log_prob)
    torch.testing.assert_close(weights, torch.tensor([0.7, 0.3, 0.0]), atol=0.01, rtol=0)


@pytest.mark.parametrize("method", ["nre", "cmpe"])
def test_what_has_no_density_is_mixed_equally(method):
    z, x, ensemble = trio(method)
    ensemble.weigh(z, x)
    torch.testing.assert_close(ensemble.mixture, torch.full((3,), 1 / 3))


def test_draws_are_shared_out_by_weight():
    torch.manual_seed(1)
    counts = torch.tensor([share_out(10, torch.tensor([0.55, 0.45, 0.0])) for _ in range(400)])
    assert (counts.sum(1) == 10).all()
    assert (counts[:, 2] == 0).all()
    assert set(counts[:, 0].tolist()) == {5, 6}
    assert counts[:, 0].double().mean().item() == pytest.approx(5.5, abs=0.1)


@pytest.mark.parametrize("method", ["npe", "nle"])
def test_an_ensemble_is_the_mixture_of_its_members(method):
    z, x, ensemble = trio(method)
    ensemble.mixture.copy_(torch.tensor([0.5, 0.3, 0.2]))
    densities = []
    for index in range(3):
        alone = estimators.build(method, z, x, seed=1, **small(method))
        weights = [stacked[index] for stacked in ensemble.stacked]
        alone.load_state_dict(dict(zip(ensemble.names, weights, strict=True)), strict=False)
        densities.append(alone.log_prob(z, x).exp())
    mean = (ensemble.mixture[:, None] * torch.stack(densities)).sum(0)
    torch.testing.assert_close(ensemble.log_prob(z, x).exp(), mean)


@pytest.mark.parametrize("method", DRAWING)
def test_an_ensemble_draws_from_all_members(method):
    _, x, ensemble = trio(method)
    torch.manual_seed(1)
    parts = torch.cat(ensemble._of_each("sample_many", 4, x[:2]), 1)  # 4 draws a member
    torch.manual_seed(1)
    draws = ensemble.sample_many(12, x[:2])
    assert torch.equal(draws.sort(1).values, parts.sort(1).values)
    assert not torch.equal(draws, parts)
    assert ensemble.sample_many(10, x[:2]).shape == (2, 10, 2)


def test_an_ensemble_needs_members():
    z, x = gaussian(50)
    with pytest.raises(ValueError, match="members is 0; at least 1 is wanted"):
        estimators.build("npe", z, x, seed=1, members=0)


# Exact answers ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_gaussian_posterior_is_the_exact_one(method):
    z, x = gaussian(20_000)
    estimator = estimators.build(method, z, x, seed=1)
    train(estimator, z, x, max_epochs=None, batch_size=None)
    axis = torch.arange(-40, 41) * 0.1
    grid = torch.cartesian_prod(axis, axis)
    exact_sd = 0.2**0.5
    for x_o in torch.tensor([[0.0, 0.0], [1.5, -0.5]]):
        if method == "cmpe":
            draws = estimator.sample(20_000, x_o)
            mean, sd = draws.mean(0), draws.std(0)
        else:
            with torch.no_grad():
                log_density = estimator.log_prob(grid, x_o)
            if estimator.target != "posterior":
                log_density = log_density - 0.5 * grid.square().sum(1)
            _, mean, sd = moments(log_density - log_density.logsumexp(0), grid)
        assert ((mean - 0.8 * x_o).abs() < 0.1 * exact_sd).all()
        assert ((sd / exact_sd - 1).abs() < 0.07).all()


@pytest.mark.slow
def test_ratio_is_the_bayes_optimal_one():
    # theta ~ U(-1, 1), x_i ~ N(theta, 0.1^2): all four numbers by quadrature.
    def pairs(n, seed):
        u = torch.rand(n, 1, generator=torch.Generator().manual_seed(seed)).clamp(1e-6, 1 - 1e-6)
        noise = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed + 1))
        return torch.special.ndtri(u), 2 * u - 1 + 0.1 * noise

    z, x = pairs(50_000, seed=1)
    nre = estimators.build("nre", z, x, seed=1, hidden=64)
    train(nre, z, x, max_epochs=15, batch_size=512, learning_rate=1e-3)
    z, x = pairs(200_000, seed=3)
    with torch.no_grad():
        joint = nre.log_prob(z, x)
        independent = nre.log_prob(z.roll(1, 0), x)
    softplus = torch.nn.functional.softplus
    assert joint.sigmoid().mean().item() == pytest.approx(0.8614, abs=0.003)
    assert independent.sigmoid().mean().item() == pytest.approx(0.1382, abs=0.003)
    entropy = 0.5 * (softplus(-joint).mean() + softplus(independent).mean())
    assert entropy.item() == pytest.approx(0.2321, abs=0.003)
    assert joint.mean().item() == pytest.approx(1.988, abs=0.02)
    assert independent.exp().mean().item() == pytest.approx(1, abs=0.03)
