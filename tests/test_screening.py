"""Columns that nothing links with the parameters are left out; those linked in any way stay."""

import torch

from sbi_pipeline import estimators
from sbi_pipeline.networks.screening import linked_columns


def draw(n: int, dim: int, seed: int) -> torch.Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


def test_noise_is_left_out_however_heavy_its_tails() -> None:
    z = draw(5000, 2, 1)
    tails = draw(5000, 30, 2) / draw(5000, 1, 3).abs()
    x = torch.cat((tails[:, :20], z + draw(5000, 2, 4), tails[:, 20:]), 1)
    assert linked_columns(z, x) == [20, 21]


def test_what_moves_only_the_spread_stays() -> None:
    z = draw(5000, 1, 1)
    x = torch.cat((draw(5000, 1, 2) * (0.5 * z).exp(), draw(5000, 1, 3)), 1)
    assert linked_columns(z, x) == [0]


def test_a_product_of_parameters_is_seen() -> None:
    z = draw(5000, 2, 1)
    x = torch.cat((z[:, :1] * z[:, 1:] + draw(5000, 1, 2), draw(5000, 1, 3)), 1)
    assert linked_columns(z, x) == [0]


def test_a_column_that_calibrates_another_stays() -> None:
    z, background = draw(5000, 1, 1), draw(5000, 1, 2)
    x = torch.cat((z + background, background, draw(5000, 1, 3)), 1)
    assert linked_columns(z, x) == [0, 1]


def test_all_stay_where_none_is_linked() -> None:
    assert linked_columns(draw(2000, 2, 1), draw(2000, 3, 2)) == [0, 1, 2]


def test_constant_columns_are_left_out() -> None:
    z = draw(2000, 1, 1)
    assert linked_columns(z, torch.cat((torch.ones(2000, 1), z), 1)) == [1]


def test_all_keeps_all() -> None:
    z = draw(2000, 1, 1)
    x = torch.cat((z + draw(2000, 1, 2), draw(2000, 1, 3)), 1)
    assert estimators.build("npe", z, x, seed=1).spec["network"]["columns"] == [0]
    for every in ("all", None):  # as `all` and as `null` of a configuration
        assert "columns" not in estimators.build("npe", z, x, seed=1, columns=every).spec["network"]
