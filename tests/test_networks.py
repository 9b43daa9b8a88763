import numpy as np
import pytest
import torch

from sbi_pipeline import estimators
from sbi_pipeline.networks.conditioning import check_conditioner
from sbi_pipeline.networks.embedding import Embedding
from sbi_pipeline.networks.encoders import Encoder, batched, choose_encoder
from sbi_pipeline.networks.flows import FLOWS, coupling_mask, flow
from sbi_pipeline.networks.neighbourhoods import FLOOR, n_features, neighbourhoods
from sbi_pipeline.networks.residual import AutoregressiveMLP, ResidualMLP
from sbi_pipeline.networks.scaling import (
    TRANSFORMS,
    Standardise,
    choose_transform,
    constant_columns,
)
from sbi_pipeline.registry import EMBEDDINGS

SHAPES = {
    "none": (3,),
    "mlp": (4, 2),
    "cnn1d": (2, 30),
    "cnn2d": (1, 20, 17),
    "deep_set": (12, 3),
    "set_transformer": (12, 3),
    "point_cloud": (12, 3),
}


def seeded(n=1):
    return torch.Generator().manual_seed(n)


# Scaling ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_standardised_data_have_mean_zero_and_sd_one(transform):
    x = torch.rand(5000, 3, generator=seeded()) * torch.tensor([1.0, 100.0, 1e6])
    layer = Standardise((3,), transform)
    layer.fit(x)
    y = layer(x)
    torch.testing.assert_close(y.mean(0), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(y.std(0), torch.ones(3), atol=1e-3, rtol=0)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_log_det_is_that_of_the_derivative(transform):
    x = 50 * torch.rand(200, 2, generator=seeded(), dtype=torch.float64) + 0.1
    layer = Standardise((2,), transform).double()
    layer.fit(x)
    slopes = torch.autograd.functional.jacobian(lambda x: layer(x).sum(0), x)  # (2, 200, 2)
    expected = torch.stack([slopes[i, :, i] for i in range(2)]).abs().log().sum(0)
    torch.testing.assert_close(layer.log_det(x), expected.float())


def test_small_changes_of_large_values_survive():
    x = 1e9 + torch.randn(1000, 1, generator=seeded(), dtype=torch.float64)
    layer = Standardise((1,))
    layer.fit(x)
    y = layer(x)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y.double(), (x - x.mean(0)) / x.std(0), atol=1e-5, rtol=0)


def test_a_logarithm_has_a_limit_of_the_data_and_says_what_is_below(caplog):
    x = 1e-40 * torch.rand(1000, 2, generator=seeded(), dtype=torch.float64) + 1e-42
    x[:100, 0] = 0
    layer = Standardise((2,), "log")
    layer.fit(x)
    assert "log: 100 of 2000 training values of x, 5 %, are not above zero" in caplog.text
    least = x[100:, 0].min()
    assert layer(x)[0, 0] == layer(torch.stack((least / 2, x[0, 1]))[None])[0, 0]
    assert layer(x)[0, 0] > -10
    assert "100 of 2000 values" in layer.doubts(x)[0]
    assert layer.doubts(torch.tensor([[1e-3, 1.0]], dtype=torch.float64)) == []


def test_data_far_beyond_all_training_rows_are_said_to_be():
    layer = Standardise((2,))
    layer.fit(torch.randn(500, 2, generator=torch.Generator().manual_seed(1)))
    assert layer.doubts(torch.tensor([[5.0, -300.0]])) == []
    (said,) = layer.doubts(torch.tensor([[1e30, 0.0]]))
    assert said.startswith("1 of 2 values of x are more than 1000 sds away from the training rows")
    assert layer(torch.tensor([[1e30, 0.0]]))[0, 0] == 1000


def test_a_logarithm_of_what_is_below_zero_is_that_of_its_size():
    x = torch.rand(1000, 1, generator=seeded()) + 0.1
    one, other = Standardise((1,), "log"), Standardise((1,), "log")
    one.fit(x)
    other.fit(-x)
    torch.testing.assert_close(other(-x), one(x))
    torch.testing.assert_close(other.log_det(-x), one.log_det(x))


def test_asinh_tames_outliers():
    x = torch.randn(5000, 1, generator=seeded())
    x[0] = 1e8
    plain, robust = Standardise((1,), "none"), Standardise((1,), "asinh")
    plain.fit(x)
    robust.fit(x)
    bulk = slice(1, None)
    assert plain(x)[bulk].std() < 1e-3
    assert robust(x)[bulk].std() > 0.5
    assert robust(x).abs().max() < 100


def test_channels_share_a_scale():
    x = torch.randn(500, 2, 7, generator=seeded()) * torch.tensor([[1.0], [10.0]])
    layer = Standardise((2, 1))
    layer.fit(x)
    expected = x.double().transpose(0, 1).flatten(1).std(1)
    torch.testing.assert_close(layer.sd.flatten(), expected)


def test_transforms_are_chosen_by_the_data():
    assert choose_transform(torch.randint(0, 9, (100, 2))) == "log1p"
    assert choose_transform(torch.randint(-9, 9, (100, 2))) == "asinh"
    assert choose_transform(torch.randn(1000, 2, generator=seeded())) == "none"
    ratio = torch.randn(1000, 2, generator=seeded()) / torch.randn(1000, 2, generator=seeded(2))
    assert choose_transform(ratio) == "asinh"


def test_constant_columns_of_arrays_are_named_by_index(caplog):
    x = torch.randn(50, 2, 3)
    x[:, 1, 2] = 4
    constant = constant_columns(x)
    assert constant.nonzero().tolist() == [[1, 2]]
    assert "column (1, 2)" in caplog.text


# Networks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("in_dim", "context_dim"), [(3, 2), (0, 2), (3, 0)])
def test_residual_mlp_of_inputs_and_context(in_dim, context_dim):
    net = ResidualMLP(in_dim, 5, hidden=8, blocks=1, context_dim=context_dim)
    inputs, context = torch.randn(10, in_dim), torch.randn(1, context_dim)
    out = net(inputs, context if context_dim else None)
    assert out.shape == (10, 5)
    if in_dim and context_dim:
        torch.testing.assert_close(net(inputs, context.expand(10, -1)), out)
        assert not torch.isclose(net(inputs, context + 1), out).any()


@pytest.mark.parametrize("features", [1, 2, 3, 8, 10, 40])
def test_coupling_maps_every_feature_and_tells_any_two_apart(features):
    layers = flow("nsf", features, 2, hidden=4)._transform.layers
    masks = torch.stack([coupling_mask(features, i) for i in range(len(layers))])
    for mask, layer in zip(masks, layers, strict=True):
        assert torch.equal(mask.nonzero()[:, 0], layer.mapped_index)
    assert masks.any(0).all()
    assert features == 1 or (~masks).any(0).all()
    for i in range(features):
        for j in range(i):
            assert (masks[:, i] & ~masks[:, j]).any()
            assert (masks[:, j] & ~masks[:, i]).any()


@pytest.mark.parametrize(("features", "hidden"), [(1, 8), (3, 8), (5, 4)])
def test_autoregressive_mlp_looks_back_only_and_at_the_context(features, hidden):
    torch.manual_seed(1)
    net = AutoregressiveMLP(features, 2, hidden=hidden, blocks=2, context_dim=3)
    inputs, context = torch.randn(features), torch.randn(3)
    by_input, by_context = torch.autograd.functional.jacobian(
        lambda x, c: net(x[None], c[None])[0], (inputs, context)
    )
    seen = (by_input.view(features, 2, features) != 0).any(1)
    assert not torch.triu(seen).any()
    assert features == 1 or hidden < features or torch.equal(seen, torch.tril(seen | True, -1))
    assert (by_context != 0).all()


@pytest.mark.parametrize("name", ["nsf", "nsf_ar", "maf"])
@pytest.mark.parametrize("features", [1, 2, 5])
def test_flows_start_near_the_identity_and_invert(name, features):
    torch.manual_seed(1)
    made = flow(name, features, 3, hidden=16).eval()
    noise, context = torch.randn(50, features), torch.randn(50, 3)
    with torch.no_grad():
        z, log_det = made._transform.inverse(noise, context)
        back, back_log_det = made._transform(z, context)
    torch.testing.assert_close(back, noise, atol=1e-4, rtol=0)
    torch.testing.assert_close(back_log_det, -log_det, atol=1e-3, rtol=0)
    assert log_det.abs().max() < 2


@pytest.mark.parametrize("name", FLOWS)
def test_flows_depend_on_their_context(name):
    torch.manual_seed(1)
    made = flow(name, 2, 3, hidden=16)
    for weights in made.parameters():  # untrained, it is the identity whatever the context
        weights.data += 0.1 * torch.randn_like(weights)
    z = torch.randn(20, 2)
    one, other = (made.log_prob(z, torch.full((20, 3), c)) for c in (-1.0, 1.0))
    assert not torch.isclose(one, other).any()


@pytest.mark.parametrize("features", [1, 3])
def test_a_mixture_is_that_of_its_normals(features):
    torch.manual_seed(1)
    made = flow("mdn", features, 2, components=3, hidden=8).double()
    torch.nn.init.normal_(made.net.last.weight)
    context = torch.randn(40, 2, dtype=torch.float64)
    x = torch.randn(40, features, dtype=torch.float64)
    log_weight, mean, factor, _ = made._parts(context)
    exact = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=log_weight),
        torch.distributions.MultivariateNormal(mean, precision_matrix=factor @ factor.mT),
    )
    torch.testing.assert_close(made.log_prob(x, context), exact.log_prob(x))
    one = made.float()
    draws = one.sample(50_000, context[:2].float())
    spread = exact.stddev[:2].float()
    torch.testing.assert_close(
        draws.mean(1) / spread, exact.mean[:2].float() / spread, atol=0.03, rtol=0
    )
    torch.testing.assert_close(draws.std(1) / spread, torch.ones_like(spread), atol=0.03, rtol=0)


def test_wrong_names_are_refused():
    with pytest.raises(ValueError, match="flow is 'glow'; it can be nsf, nsf_ar, maf, mdn"):
        flow("glow", 2, 2)
    with pytest.raises(ValueError, match=r".rnn. is not known; write one of cnn1d"):
        Encoder((3,), embedding="rnn")


# Embeddings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_encoders_give_one_row_a_data_set(name):
    shape = SHAPES[name]
    x = 5 + 3 * torch.randn(40, *shape, generator=seeded())
    encoder = Encoder(shape, embedding=name).eval()
    encoder.fit_scales(x)
    out = encoder(x)
    assert out.shape == (40, encoder.out_dim)
    torch.testing.assert_close(encoder(x[3]), out[3:4], atol=1e-5, rtol=1e-5)
    assert out.std(0).min() > 0


@pytest.mark.parametrize("name", ["mlp", "cnn2d", "set_transformer"])
def test_mixed_precision_is_near_and_comes_out_single(name):
    shape = SHAPES[name]
    x = torch.randn(40, *shape, generator=seeded())
    torch.manual_seed(1)
    plain = Encoder(shape, embedding=name).eval()
    mixed = Encoder(shape, embedding={"name": name, "mixed": True}).eval()
    mixed.load_state_dict(plain.state_dict())
    one, other = plain(x), mixed(x)
    assert other.dtype == torch.float32
    assert not torch.equal(one, other)
    torch.testing.assert_close(other, one, atol=0.03 * one.std().item(), rtol=0.03)


@pytest.mark.parametrize("name", ["deep_set", "set_transformer", "point_cloud"])
def test_sets_have_no_order(name):
    x = torch.randn(5, 12, 3, generator=seeded())
    encoder = Encoder((12, 3), embedding=name).eval()
    torch.testing.assert_close(encoder(x[:, torch.randperm(12)]), encoder(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["deep_set", "set_transformer", "point_cloud"])
def test_padding_says_nothing(name):
    x = torch.randn(200, 12, 3, generator=seeded())
    x[..., -1] = torch.arange(12) < torch.randint(3, 12, (200, 1), generator=seeded())
    encoder = Encoder((12, 3), embedding={"name": name, "mask": True}).eval()
    encoder.fit_scales(x)
    scales = encoder.standardise.mean.clone(), encoder.standardise.sd.clone()
    garbage = torch.where(x[..., -1:] > 0, x, torch.tensor([1e3, -1e3, 0.0]))
    encoder.fit_scales(garbage)
    torch.testing.assert_close((encoder.standardise.mean, encoder.standardise.sd), scales)
    torch.testing.assert_close(encoder(garbage), encoder(x))
    fewer = x.clone()
    fewer[:, 0, -1] = 0
    assert not torch.isclose(encoder(fewer), encoder(x)).all(1).any()


def test_what_is_taken_for_a_mask_must_be_one():
    encoder = Encoder((12, 3), embedding={"name": "deep_set", "mask": True})
    points = torch.randn(50, 12, 3, generator=seeded())
    with pytest.raises(ValueError, match=r"last of 3 features .*; 600 of 600 are neither.*append"):
        encoder.fit_scales(points)
    points[..., -1] = 1
    points[3, 6:] = 0
    points[4, 6:] = torch.nan
    encoder.fit_scales(points)
    assert encoder.doubts(points[3]) == []
    points[3, 2, -1] = 7
    assert "1 of 12 are neither, such as 7" in encoder.doubts(points[3])[0]


def test_a_mask_that_is_always_set_is_no_constant_column(caplog):
    x = torch.cat((torch.randn(50, 4, 2, generator=seeded()), torch.ones(50, 4, 1)), -1)
    choose_encoder(torch.randn(50, 1), x, embedding={"name": "deep_set", "mask": True})
    assert "same value" not in caplog.text
    choose_encoder(torch.randn(50, 1), x, embedding={"name": "deep_set"})
    assert "same value" in caplog.text


def test_padding_makes_no_heavy_tails():
    x = torch.randn(500, 12, 3, generator=seeded())
    x[..., -1] = torch.arange(12) < torch.randint(1, 4, (500, 1), generator=seeded())
    x = x * x[..., -1:]
    embedding = {"name": "deep_set", "mask": True}
    chosen = choose_encoder(torch.randn(500, 1), x, embedding=embedding)
    assert chosen["transform"] == "none"
    assert choose_transform(x[..., :-1]) == "asinh"


@pytest.mark.parametrize(
    ("embedding", "together"),
    [
        ({"name": "deep_set", "rounds": 1}, False),
        ({"name": "deep_set", "rounds": 2}, True),
        ({"name": "set_transformer"}, True),
    ],
)
def test_an_event_is_seen_in_the_light_of_the_others(embedding, together):
    # Does moving one event change what moving another adds to the pooled features?
    torch.manual_seed(1)
    encoder = Encoder((3, 2), embedding=embedding).eval()
    encoder.embedding.head = torch.nn.Identity()
    one, other = torch.zeros(3, 2), torch.zeros(3, 2)
    one[0], other[1] = 1, 1
    sets = torch.randn(3, 2) + torch.stack((one + other, one, other, 0 * one))
    both, first, second, none = encoder(sets)
    surplus = (both - first - second + none).abs().max() / (first - none).abs().max()
    assert (surplus > 1e-3) == together


def test_embeddings_refuse_other_shapes():
    with pytest.raises(ValueError, match=r"a 2-d convolution takes 2 axes, or 3 with channels"):
        Encoder((5,), embedding="cnn2d")
    with pytest.raises(ValueError, match=r"a set of events has shape \(events, features\)"):
        Encoder((5,), embedding="deep_set")
    with pytest.raises(ValueError, match=r"x has shape \(4, 5\); .* data sets of shape \(3,\)"):
        batched(torch.zeros(4, 5), (3,))


class Halves(Embedding):
    """An embedding of a user's own."""

    def __init__(self, x_shape, scale=1.0):
        super().__init__()
        self.scale, self.out_dim = scale, 2

    def forward(self, x):
        return self.scale * torch.stack([half.mean(1) for half in x.chunk(2, 1)], 1)


def test_an_embedding_of_ones_own():
    z, x = torch.randn(100, 1), torch.randn(100, 6)
    embedding = {"name": f"{__name__}:Halves", "scale": 2.0}
    npe = estimators.build("npe", z, x, seed=1, embedding=embedding, hidden=8, transforms=2)
    assert npe.log_prob(z, x).shape == (100,)
    assert npe.conditioner.encoder(x).abs().max() > 1


def test_what_is_no_embedding_is_refused():
    with pytest.raises(ValueError, match="'toy:NoEstimator' is no embedding; wanted a subclass"):
        Encoder((6,), embedding="toy:NoEstimator")


def test_neighbourhoods_are_weighted_means_and_covariances():
    x = torch.randn(2, 30, 2, generator=seeded(), dtype=torch.float64)
    mask = torch.arange(30) < torch.tensor([[30], [20]])
    found = neighbourhoods(x, mask, widest=0.8, windows=2)
    assert found.shape == (2, 30, n_features(2, 2))
    for width, features in zip((0.8, 0.4), found[1, 3].chunk(2), strict=True):
        near = x[1, :20]
        weight = torch.exp(-(near - near[3]).square().sum(1) / (2 * width**2))
        mean = (weight[:, None] * near).sum(0) / weight.sum()
        scatter = near.T.cov(aweights=weight, correction=0) / width**2
        torch.testing.assert_close(features[0], weight.sum().log() - 2)
        torch.testing.assert_close(features[1:3], (mean - near[3]) / width)
        torch.testing.assert_close(features[3:6], 3 * scatter[[0, 0, 1], [0, 1, 1]] - 1)
        volume = (scatter + FLOOR * torch.eye(2)).det().sqrt()
        torch.testing.assert_close(features[6], volume.log() + 1.5)


def test_neighbourhoods_do_not_depend_on_the_sets_worked_on_together(monkeypatch):
    x = torch.randn(5, 30, 2, generator=seeded(), dtype=torch.float64)
    mask = torch.rand(5, 30, generator=seeded()) < 0.7
    mask[1, 12:], mask[2] = False, False
    together = neighbourhoods(x, mask, widest=0.8, windows=2)
    monkeypatch.setattr("sbi_pipeline.networks.neighbourhoods.AT_ONCE", 2 * 30**2)
    torch.testing.assert_close(neighbourhoods(x, mask, 0.8, 2)[mask], together[mask])
    assert neighbourhoods(x, mask, 0.8, 2).isfinite().all()


@pytest.mark.parametrize(
    ("x_shape", "embedding", "move"),
    [
        ((32, 32, 3), "cnn2d", -3),
        ((28, 28, 1), "cnn2d", -3),
        ((32, 32, 3), "auto", -3),
        ((500, 2), "cnn1d", -2),
    ],
)
def test_channels_that_come_last_are_asked_for_first(x_shape, embedding, move):
    options = {"columns": None, "embedding": embedding}
    with pytest.raises(ValueError, match=r"np\.moveaxis\(x, -1, (-\d)\)") as caught:
        check_conditioner(x_shape, **options)
    assert f"np.moveaxis(x, -1, {move})" in str(caught.value)
    check_conditioner(np.moveaxis(np.empty(x_shape), -1, move).shape, **options)
