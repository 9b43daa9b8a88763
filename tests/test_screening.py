"""Columns that nothing links with the parameters are left out; those linked in any way stay."""

import torch

from sbi_pipeline import estimators
from sbi_pipeline.networks.screening import linked_columns, scores_of_ranks


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


def test_many_weak_columns_stay_together() -> None:
    z = draw(9000, 1, 1)
    assert len(linked_columns(z, 0.05 * z + draw(9000, 1000, 2))) > 900
    kept = linked_columns(z, torch.cat((0.05 * z + draw(9000, 100, 2), draw(9000, 900, 3)), 1))
    assert sum(i < 100 for i in kept) > 90
    assert len(kept) < 200


def test_many_columns_of_a_weakly_moved_spread_stay() -> None:
    z = draw(9000, 1, 1)
    assert len(linked_columns(z, (0.05 * z).exp() * draw(9000, 1000, 2))) > 900


def test_weak_columns_beside_a_strong_one_stay() -> None:
    z = draw(9000, 1, 1)
    x = torch.cat((z + draw(9000, 1, 2), 0.02 * z + draw(9000, 300, 3)), 1)
    assert len(linked_columns(z, x)) > 250


def test_each_column_is_calibrated_by_its_own() -> None:
    z, background = draw(9000, 1, 1), draw(9000, 200, 2)
    x = torch.cat((z + 3 * background + 0.1 * draw(9000, 200, 3), background), 1)
    kept = linked_columns(z, torch.cat((x, draw(9000, 300, 4)), 1))
    assert kept[:400] == list(range(400))
    assert len(kept) < 420


def test_a_sign_that_makes_sense_of_another_column_stays() -> None:
    z, sign = draw(5000, 1, 1), draw(5000, 1, 2).sign()
    x = torch.cat((sign * z + 0.3 * draw(5000, 1, 3), sign, draw(5000, 50, 4)), 1)
    assert linked_columns(z, x) == [0, 1]


def test_ties_share_a_score_and_constants_have_none() -> None:
    scores = scores_of_ranks(torch.tensor([[1, 5], [2, 5], [2, 5], [3, 5]]))
    assert scores[1, 0] == scores[2, 0] == 0
    assert scores[0, 0] == -scores[3, 0]
    assert scores[:, 1].eq(0).all()


def test_all_keeps_all() -> None:
    z = draw(2000, 1, 1)
    x = torch.cat((z + draw(2000, 1, 2), draw(2000, 1, 3)), 1)
    assert estimators.build("npe", z, x, seed=1).spec["network"]["columns"] == [0]
    for every in ("all", None):  # as `all` and as `null` of a configuration
        assert "columns" not in estimators.build("npe", z, x, seed=1, columns=every).spec["network"]
