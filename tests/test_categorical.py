"""The likelihood of columns of few whole values, alone and beside others."""

import numpy as np
import pytest
import torch

from sbi_pipeline import estimators
from sbi_pipeline.networks.categorical import Categorical
from sbi_pipeline.training.fit import fit


def spikes(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two Bernoulli columns; the second repeats the first nine times of ten."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, 1, generator=generator)
    first = torch.rand(n, 1, generator=generator) < z.sigmoid()
    same = torch.rand(n, 1, generator=generator) < 0.9
    return z, torch.cat((first, first == same), 1).to(torch.int8)


def test_probabilities_sum_to_one() -> None:
    model = Categorical(2, 3, 1)
    torch.nn.init.normal_(model.net.last.weight)
    values = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    total = model.log_prob(values, torch.full((9, 1), 0.3)).exp().sum()
    torch.testing.assert_close(total, torch.tensor(1.0))


def test_values_never_seen_are_improbable_and_end_nothing() -> None:
    model = Categorical(1, 2, 1)
    seen, unseen = model.log_prob(torch.tensor([[1], [2]]), torch.zeros(2, 1))
    assert (unseen - seen).item() == pytest.approx(np.log(1e-6))


def test_nle_learns_bernoulli_columns() -> None:
    z, x = spikes(6000, 1)
    made = estimators.build("nle", z, x, seed=1)
    validation = np.arange(len(z)) % 10 == 0
    fit(made, z, x, train=~validation, validation=validation, seed=1, max_epochs=15)
    at = torch.tensor([[-1.0], [0.0], [1.0]])
    for value in ([0, 0], [0, 1], [1, 0], [1, 1]):
        first = at.sigmoid() if value[0] else (-at).sigmoid()
        wanted = first[:, 0] * (0.9 if value[0] == value[1] else 0.1)
        with torch.no_grad():
            found = made.log_prob(at, torch.tensor(value, dtype=torch.int8)).exp()
        torch.testing.assert_close(found, wanted, atol=0.04, rtol=0)


def test_mixed_columns_are_learnt_together() -> None:
    """A flag says which of two lines the other column follows."""
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(4000, 1, generator=generator)
    flag = (torch.rand(4000, 1, generator=generator) < 0.5).long()
    counts = torch.poisson((3 + 2 * flag + 0.5 * z).exp(), generator=generator).long()
    x = torch.cat((flag, counts), 1)
    made = estimators.build("nle", z, x, seed=1)
    assert made.spec["network"]["discrete"]["columns"] == [0]
    assert made.standardise.columns == [1]
    assert torch.isfinite(made.log_prob(z, x)).all()
    apart = made.log_prob(torch.zeros(2, 1), torch.tensor([[0, 20], [1, 20]]))
    assert apart[0] > apart[1] + 3
