import pytest
import torch
from nflows.transforms.splines.rational_quadratic import unconstrained_rational_quadratic_spline

from sbi_pipeline.networks.splines import (
    Affine,
    AffineSpline,
    Autoregressive,
    Coupling,
    Spline,
    rational_quadratic,
)

BOUND, BINS = 3.0, 8


@pytest.fixture
def raw():
    return 1.5 * torch.randn(500, 4, 3 * BINS - 1, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def inputs():
    inputs = 2 * torch.randn(500, 4, generator=torch.Generator().manual_seed(2))
    inputs[0] = torch.tensor([-BOUND, BOUND, BOUND + 1e-6, -10.0])  # ends and tails
    return inputs


def knots(raw):
    """Return the knots inside the interval in x and y, each (n, features, bins - 1)."""
    shares = torch.softmax(raw[..., : 2 * BINS].unflatten(-1, (2, BINS)), -1)
    edges = (2 * BOUND * (1e-3 + (1 - 1e-3 * BINS) * shares)).cumsum(-1) - BOUND
    return edges[..., 0, :-1], edges[..., 1, :-1]


def of_nflows(inputs, raw, inverse):
    parts = (raw[..., :BINS], raw[..., BINS : 2 * BINS], raw[..., 2 * BINS :])
    return unconstrained_rational_quadratic_spline(
        inputs, *(part.clone() for part in parts), inverse=inverse, tail_bound=BOUND
    )


@pytest.mark.parametrize("inverse", [False, True])
def test_spline_is_that_of_nflows_with_tails(inputs, raw, inverse):
    inputs, raw = inputs.double(), raw.double()
    ours, slope = rational_quadratic(inputs, raw, bound=BOUND, inverse=inverse)
    theirs, their_slope = of_nflows(inputs, raw, inverse)
    torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=0)
    # nflows counts the very ends as inside, where the slope is the tails' too.
    torch.testing.assert_close(slope, their_slope, atol=1e-10, rtol=0)


@pytest.mark.parametrize("inverse", [False, True])
def test_spline_is_that_of_nflows_at_bin_edges(raw, inverse):
    raw = raw.double()
    for k in range(BINS - 1):
        edge = knots(raw)[1 if inverse else 0][..., k]
        ours, slope = rational_quadratic(edge, raw, bound=BOUND, inverse=inverse)
        theirs, their_slope = of_nflows(edge, raw, inverse)
        torch.testing.assert_close(ours, theirs, atol=1e-7, rtol=0)
        torch.testing.assert_close(slope, their_slope, atol=1e-7, rtol=0)


@pytest.mark.parametrize("inverse", [False, True])
def test_single_precision_is_as_good_as_that_of_nflows(inputs, raw, inverse):
    exact = of_nflows(inputs.double(), raw.double(), inverse)
    ours = rational_quadratic(inputs, raw, bound=BOUND, inverse=inverse)
    theirs = of_nflows(inputs, raw, inverse)
    for our, their, value in zip(ours, theirs, exact, strict=True):
        assert (our - value).abs().mean() < 1e-5
        assert (our - value).abs().max() <= 2 * (their - value).abs().max()


def test_gradients_are_those_of_nflows(inputs, raw):
    gradients = []
    for spline in (
        lambda x, r: rational_quadratic(x, r, bound=BOUND),
        lambda x, r: of_nflows(x, r, False),
    ):
        x, r = inputs[1:].double().requires_grad_(), raw[1:].double().requires_grad_()
        outputs, slope = spline(x, r)
        gradients.append(torch.autograd.grad((outputs + slope).sum(), (x, r)))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("map_", [Spline(BINS, BOUND), Affine(), AffineSpline(BINS, BOUND)])
def test_maps_start_as_identity_and_invert(map_, inputs):
    identity = map_.initial().expand(500, 4, -1)
    outputs, slope = map_(inputs, identity)
    torch.testing.assert_close(outputs, inputs, atol=1e-5, rtol=0)
    torch.testing.assert_close(slope, torch.zeros_like(slope), atol=1e-5, rtol=0)
    raw = identity + torch.randn(identity.shape, generator=torch.Generator().manual_seed(3))
    outputs, slope = map_(inputs.double(), raw.double())
    back, back_slope = map_(outputs, raw.double(), inverse=True)
    torch.testing.assert_close(back, inputs.double(), atol=1e-8, rtol=0)
    torch.testing.assert_close(back_slope, -slope, atol=1e-8, rtol=0)


class Linear(torch.nn.Module):
    """A network whose outputs depend on the inputs a mask allows, and on the context."""

    def __init__(self, mask, n_parameters):
        super().__init__()
        n_out, n_in = mask.shape
        generator = torch.Generator().manual_seed(4)
        weight = torch.randn(n_out, n_parameters, n_in, generator=generator, dtype=torch.float64)
        self.weight = (weight * mask[:, None]).flatten(0, 1)
        self.bias = torch.randn(n_out * n_parameters, 2, generator=generator, dtype=torch.float64)

    def forward(self, inputs, context):
        return inputs @ self.weight.T + context @ self.bias.T


def transforms():
    map_ = AffineSpline(BINS, BOUND)
    mapped = torch.tensor([True, False, True])
    coupling = Coupling(mapped, map_, Linear(torch.ones(2, 1), map_.n_parameters))
    below = torch.tril(torch.ones(3, 3), -1)
    return {"coupling": coupling, "ar": Autoregressive(3, map_, Linear(below, map_.n_parameters))}


@pytest.mark.parametrize("name", ["coupling", "ar"])
def test_transforms_invert_and_know_their_jacobian(name):
    transform = transforms()[name]
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    context = torch.randn(20, 2, generator=generator, dtype=torch.float64)
    outputs, log_det = transform(inputs, context)
    back, back_log_det = transform.inverse(outputs, context)
    torch.testing.assert_close(back, inputs, atol=1e-8, rtol=0)
    torch.testing.assert_close(back_log_det, -log_det, atol=1e-8, rtol=0)
    for i in range(3):
        jacobian = torch.autograd.functional.jacobian(
            lambda x, i=i: transform(x[None], context[i : i + 1])[0][0], inputs[i]
        )
        torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], log_det[i])


def test_coupling_leaves_the_others_alone():
    inputs = torch.randn(5, 3, dtype=torch.float64)
    outputs, _ = transforms()["coupling"](inputs, torch.zeros(5, 2, dtype=torch.float64))
    assert torch.equal(outputs[:, 1], inputs[:, 1])
    assert not torch.isclose(outputs[:, 0], inputs[:, 0]).any()


def test_wrong_number_of_bins_is_refused():
    with pytest.raises(ValueError, match="bins is 1; a spline takes from 2"):
        Spline(bins=1)
