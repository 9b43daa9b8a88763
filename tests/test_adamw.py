import copy

import pytest
import torch

from sbi_pipeline.training.adamw import AdamW

RATES = [0.1 / (1 + step) for step in range(12)]


def weights() -> list[torch.nn.Parameter]:
    made = []
    for seed, dtype in enumerate([torch.float32, torch.float64]):
        generator = torch.Generator().manual_seed(seed)
        made.append(torch.nn.Parameter(torch.randn(1000, generator=generator, dtype=dtype)))
        made[-1].grad = torch.zeros_like(made[-1])
    return made


def set_gradients(learnt: list[torch.nn.Parameter], step: int) -> None:
    for each in learnt:
        assert each.grad is not None
        each.grad.copy_((each.detach() * (1 + step)).sin())


@pytest.mark.parametrize("weight_decay", [0.0, 1e-4, 0.3])
def test_a_step_is_that_of_torch_to_the_last_bit(weight_decay: float) -> None:
    ours, theirs = weights(), weights()
    optimiser = AdamW(ours, weight_decay)
    reference = torch.optim.AdamW(theirs, weight_decay=weight_decay, fused=True)
    for step, rate in enumerate(RATES):
        reference.param_groups[0]["lr"] = rate
        set_gradients(ours, step)
        set_gradients(theirs, step)
        optimiser.step(rate)
        reference.step()
        assert all(map(torch.equal, ours, theirs))


def test_a_state_goes_on_where_it_was() -> None:
    whole, first = weights(), weights()
    for learnt, rates in ((whole, RATES), (first, RATES[:5])):
        optimiser = AdamW(learnt, 0.1)
        for step, rate in enumerate(rates):
            set_gradients(learnt, step)
            optimiser.step(rate)
    state = copy.deepcopy(optimiser.state_dict())
    again = AdamW(first, 0.1)
    again.load_state_dict(state)
    for step, rate in enumerate(RATES[5:], 5):
        set_gradients(first, step)
        again.step(rate)
    assert all(map(torch.equal, whole, first))


def test_gradients_are_cleared_in_place() -> None:
    learnt = weights()
    gradients = [each.grad for each in learnt]
    set_gradients(learnt, 1)
    AdamW(learnt, 0.1).clear_gradients()
    assert all(not each.any() for each in gradients if each is not None)
    assert all(each.grad is one for each, one in zip(learnt, gradients, strict=True))
