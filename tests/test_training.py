import os
import signal
import threading

import numpy as np
import pytest
import torch

from sbi_pipeline import signals
from sbi_pipeline.networks.trainable import Trainable
from sbi_pipeline.training import fit as training
from sbi_pipeline.training.fit import SCHEDULES, complete, fit
from sbi_pipeline.training.learner import flatten
from sbi_pipeline.types import Traits


class Line(Trainable):
    """Learns x = a z + b, with noise in its loss."""

    traits = Traits(target="likelihood")

    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.zeros(1))
        self.b = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def loss(self, z, x):
        self.seen.append(set(z[:, 0].tolist()))
        noise = 0.1 * torch.randn_like(x)
        return (self.a * z + self.b + noise - x).square().sum(1)


def rows(n=400):
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(n, 1, generator=generator)
    return z, 2 * z - 1 + 0.1 * torch.randn(n, 1, generator=generator)


SPLIT = {"train": np.arange(400) % 5 > 0, "validation": np.arange(400) % 5 == 0}
QUICK = {"batch_size": 32, "learning_rate": 0.1, "progress": False, "device": "cpu"}


def trained(**options):
    line = Line()
    history = fit(line, *rows(), **SPLIT, **{"seed": 1, "max_epochs": 20, **QUICK, **options})
    return line, history


def test_fit_learns_and_reports():
    line, history = trained()
    assert line.a.item() == pytest.approx(2, abs=0.05)
    assert line.b.item() == pytest.approx(-1, abs=0.05)
    columns = ["epoch", "train_loss", "validation_loss", "learning_rate", "seconds"]
    assert list(history.columns) == columns
    assert list(history.epoch) == list(range(1, 21))
    assert history.seconds.is_monotonic_increasing
    assert history.learning_rate.iloc[-1] < 0.001


def test_fit_learns_from_the_training_rows_only():
    line = Line()
    z, x = rows()
    fit(line, z, x, **SPLIT, seed=1, max_epochs=1, average=0, **QUICK)
    training_values = set(z[SPLIT["train"], 0].tolist())
    validation_values = set(z[SPLIT["validation"], 0].tolist())
    first, *learnt, last = line.seen
    assert set().union(*learnt) == training_values
    assert first == last == validation_values  # as it starts, and after the epoch


def test_fit_ends_with_the_best_weights():
    z, x = rows()
    line = Line()
    options = QUICK | {"learning_rate": 1.0}
    history = fit(line, z, x, **SPLIT, seed=1, max_epochs=30, schedule="constant", **options)
    best = history.validation_loss.min()
    assert history.validation_loss.iloc[-1] > best
    held_out = SPLIT["validation"]
    noise_free = (line.a * z[held_out] + line.b - x[held_out]).square().mean().item()
    assert noise_free == pytest.approx(best, abs=0.02)


def test_fit_stops_when_it_no_longer_improves():
    _, history = trained(max_epochs=500, patience=5, schedule="constant")
    best = history.validation_loss.argmin()
    assert len(history) < 500
    assert len(history) == best + 1 + 5


def test_a_loss_that_does_not_judge_neither_stops_nor_chooses():
    line = Line()
    line.traits = Traits(target="likelihood", loss_judges=False)
    told = []
    line.training_done = told.append
    options = QUICK | {"schedule": "constant", "learning_rate": 1.0, "average": 0}
    history = fit(line, *rows(), **SPLIT, seed=1, max_epochs=30, patience=3, **options)
    assert len(history) == 30
    assert history.validation_loss.iloc[-1] > history.validation_loss.min()
    assert told == [epoch / 30 for epoch in range(30)]
    z, x = (part[SPLIT["validation"]] for part in rows())
    noise_free = (line.a * z + line.b - x).square().mean().item()
    assert noise_free == pytest.approx(history.validation_loss.iloc[-1], abs=0.02)


def test_fit_is_a_function_of_its_seed():
    one, two, three = trained()[0], trained()[0], trained(seed=2)[0]
    assert torch.equal(one.a, two.a)
    assert not torch.equal(one.a, three.a)


def test_fit_leaves_torch_as_it_was():
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    threads = torch.get_num_threads()
    trained(threads=1)
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_stay_between_nothing_and_the_peak(name):
    shares = [SCHEDULES[name](i / 1000) for i in range(1000)]
    assert max(shares) == pytest.approx(1, abs=1e-3)
    assert min(shares) >= 0


class Interrupted(Line):
    """A Line that is sent a signal at one of its losses."""

    def __init__(self, at, number=signal.SIGTERM):
        super().__init__()
        self.at, self.number = at, number

    def loss(self, z, x):
        if len(self.seen) == self.at:
            os.kill(os.getpid(), self.number)
        return super().loss(z, x)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("at", "epoch"), [(25, 2), (60, 6), (110, 11)])  # of 10 losses
def test_an_interrupted_training_resumes_to_the_same_result(tmp_path, at, epoch, number):
    whole, history = trained()
    checkpoint = tmp_path / "checkpoint.pt"
    line = Interrupted(at, number)
    with pytest.raises(signals.Interrupted, match=f"{number.name} after epoch {epoch}$"):
        fit(line, *rows(), **SPLIT, seed=1, max_epochs=20, checkpoint=checkpoint, **QUICK)
    assert checkpoint.exists()
    assert len(line.seen) <= at + 1
    resumed, again = trained(checkpoint=checkpoint)
    assert len(resumed.seen) < len(whole.seen)
    assert torch.equal(whole.a, resumed.a)
    assert torch.equal(whole.b, resumed.b)
    measured = ["epoch", "train_loss", "validation_loss", "learning_rate"]
    assert again[measured].equals(history[measured])


def test_what_comes_after_a_training_may_fail_without_training_again(tmp_path):
    """The checkpoint is there until whoever asked for the training has saved it."""
    whole, history = trained(checkpoint=tmp_path / "checkpoint.pt")
    again, same = trained(checkpoint=tmp_path / "checkpoint.pt")
    assert not again.seen
    assert torch.equal(whole.a, again.a)
    assert same.equals(history)


def test_a_checkpoint_is_written_while_the_training_lasts(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    checkpoint = tmp_path / "checkpoint.pt"

    class Dies(Line):
        def loss(self, z, x):
            if len(self.seen) == 60:
                raise RuntimeError("out of memory")
            return super().loss(z, x)

    with pytest.raises(RuntimeError, match="out of memory"):
        fit(Dies(), *rows(), **SPLIT, seed=1, max_epochs=20, checkpoint=checkpoint, **QUICK)
    resumed, _ = trained(checkpoint=checkpoint)
    assert torch.equal(resumed.a, trained()[0].a)


def test_a_checkpoint_of_another_training_is_not_gone_on_from(tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(signals.Interrupted):
        fit(
            Interrupted(60), *rows(), **SPLIT, seed=1, max_epochs=20, checkpoint=checkpoint, **QUICK
        )
    other, history = trained(checkpoint=checkpoint, seed=2)
    assert len(history) == 20
    assert torch.equal(other.a, trained(seed=2)[0].a)


def test_a_damaged_checkpoint_is_not_gone_on_from(tmp_path, caplog):
    checkpoint = tmp_path / "checkpoint.pt"
    checkpoint.write_bytes(b"half a che")
    line, _ = trained(checkpoint=checkpoint)
    assert "training starts anew" in caplog.text
    assert torch.equal(line.a, trained()[0].a)


def test_a_checkpoint_that_cannot_be_written_stops_nothing(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    line, _ = trained(checkpoint=tmp_path / "missing" / "checkpoint.pt")
    assert "checkpoint.pt cannot be written" in caplog.text
    assert torch.equal(line.a, trained()[0].a)


def test_signals_are_given_back():
    before = [signal.getsignal(number) for number in signals.REQUESTS]
    trained(max_epochs=1)
    assert [signal.getsignal(number) for number in signals.REQUESTS] == before


def test_fit_works_outside_the_main_thread():
    lines = []
    thread = threading.Thread(target=lambda: lines.append(trained()[0]))
    thread.start()
    thread.join(timeout=60)
    assert torch.equal(lines[0].a, trained()[0].a)


def test_a_loss_that_is_not_finite_is_an_error():
    class Broken(Line):
        def loss(self, z, x):
            return super().loss(z, x) * float("nan")

    with pytest.raises(ValueError, match="loss is not finite in epoch 1"):
        fit(Broken(), *rows(), **SPLIT, seed=1, **QUICK)


def test_too_few_rows_are_refused():
    few = {"train": np.arange(400) < 10, "validation": np.arange(400) == 11}
    with pytest.raises(ValueError, match="10 rows to train on and 1 to stop by"):
        fit(Line(), *rows(), **few, seed=1, **QUICK)


def test_a_step_that_cannot_be_compiled_is_taken_as_it_is(monkeypatch, caplog):
    def broken(function, **options):
        def call(z, x):
            torch.rand(3)
            raise RuntimeError("C++ compiler not found\nand much more")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    line, _ = trained(compile=True)
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert warnings == ["training is not compiled: RuntimeError: C++ compiler not found"]
    assert torch.equal(line.a, trained()[0].a)


@pytest.mark.parametrize(
    ("gains", "steps", "asked", "compiled"),
    [
        (True, 100, "auto", True),
        (True, 1000, "auto", False),
        (False, 100, "auto", False),
        (True, 100, False, False),
        (False, 1000, True, True),
    ],
)
def test_long_trainings_are_compiled(monkeypatch, gains, steps, asked, compiled):
    made = []
    monkeypatch.setattr(torch, "compile", lambda loss, **options: made.append(loss) or loss)
    monkeypatch.setattr(training, "COMPILE_STEPS", steps)
    monkeypatch.setattr(Line, "traits", Traits(target="likelihood", compiles=gains))
    trained(compile=asked)  # 200 steps
    assert len(made) == compiled


@pytest.mark.slow
def test_a_compiled_training_learns_and_resumes_to_the_same_result(tmp_path):
    class Quiet(Trainable):
        """What a compiler can follow to the end."""

        traits = Traits(target="likelihood")

        def __init__(self):
            super().__init__()
            self.net = torch.nn.Linear(1, 1)

        def loss(self, z, x):
            return (self.net(z) + 0.1 * torch.randn_like(x) - x).square().sum(1)

    def run(**options):
        torch.manual_seed(3)
        net = Quiet()
        fit(
            net, *rows(), **SPLIT, seed=1, **QUICK, **{"max_epochs": 10, "compile": True, **options}
        )
        return net.net

    whole = run()
    assert whole.weight.item() == pytest.approx(2, abs=0.1)
    assert whole.weight.item() == pytest.approx(run(compile=False).weight.item(), abs=0.05)
    assert torch.equal(run().weight, whole.weight)


def test_weights_in_one_tensor_are_still_the_modules():
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2).double())
    net[0].bias.requires_grad_(False)
    before = {name: weights.clone() for name, weights in net.state_dict().items()}
    flat = flatten(net)
    assert [part.dtype for part in flat] == [torch.float32, torch.float64]
    assert [len(part) for part in flat] == [12, 10]
    for name, weights in net.state_dict().items():
        assert torch.equal(weights, before[name])
    net[0](torch.ones(5, 3)).sum().backward()
    assert torch.equal(flat[0].grad, torch.full((12,), 5.0))
    with torch.no_grad():
        flat[0].zero_()
    assert not net[0].weight.any()
    assert torch.equal(net[0].bias, before["0.bias"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for what is there")
def test_cuda_asked_for_and_absent_is_one_line():
    with pytest.raises(ValueError, match="device is cuda, and torch finds none"):
        trained(device="cuda")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_epochs": 0}, "max_epochs is 0; wanted 1 or more"),
        ({"batch_size": -1}, "batch_size is -1; wanted 1 or more"),
        ({"device": "gpu"}, "device is 'gpu'; it can be auto, cpu or cuda"),
        ({"schedule": "step"}, "schedule is 'step'; it can be one_cycle, cosine, constant"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        trained(**options)


def test_what_is_not_given_is_chosen_by_rows_and_estimator():
    plain = Line.traits
    assert complete(plain, 10_000, None, None, None) == (60, 256, 3e-3)
    assert complete(plain, 1_000_000, None, None, None) == (13, 512, 3e-3)
    assert complete(plain, 100, None, None, None) == (60, 32, 3e-3)
    own = Traits(target="posterior", effort=2.0, learning_rate=1e-3)
    assert complete(own, 10_000, None, None, None) == (120, 256, 1e-3)
    assert complete(own, 10_000, 5, 64, 0.1) == (5, 64, 0.1)
