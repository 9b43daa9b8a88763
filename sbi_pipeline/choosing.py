"""How a portfolio is trained: several methods on the same rows, those that lose stopped early.

Methods are scored by the log posterior density, in nats, at the truths of held-out rows, and mixed
by weights that make these truths likely. No reference and no observation takes part, so a choice is
as good for one as for another. Of many rows every method is trained for some of its epochs first,
as it would be for all of them, and one that is then far behind the best is left there. Few rows are
learnt by ensembles, for more epochs, since each member sees two fifths of the rows in one: what
that gains held out stands in `benchmarks/sbibm/README.md`.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .conditions import NO_CONDITIONS, Conditions
from .estimators import Estimator, estimator_class, traits
from .estimators.ensemble import stack
from .options import Passes, Positive
from .portfolio import Portfolio
from .progress import counting
from .storage.reading import Reader
from .training import sources
from .training.fit import usual_epochs
from .training.learning import Learnt, Lesson, learn_estimator, learnt, lesson
from .training.search import Trained, kept
from .types import Array, Prior

logger = logging.getLogger(__name__)

MOST_NUMBERS = 500  # of data whose likelihood is learnt
FEW = 20_000  # training rows, at most, that are learnt by ensembles
SPARSE = 5_000  # and that NPE also learns from nothing, not from a linear regression
MEMBERS, LONGER = 5, 2  # of these: how many, and epochs over those of one network
FIRST = 0.4  # of the epochs, after which methods are compared
BEHIND, ERRORS = 0.3, 3.0  # nats and standard errors behind the best, above which one is stopped
SCORED = 200  # held-out rows
EFFECTIVE = 30  # draws that those are worth that the evidence of each is found by
NEGLIGIBLE = 0.05  # weight below which a method is left out of the mixture


@dataclass
class Candidate:
    """A method, as far as it is trained.

    Attributes:
        method: Its name.
        lesson: The rows it learns from.
        network: Options of its own.
        label: How it is called among the others; by default as its method.
        made: What came of it; None before anything has.
        history: A row for each epoch.
        log_prob: Log posterior density at each held-out truth, in nats, ``(n,)``.
        told: What became of it, in words.
    """

    method: str
    lesson: Lesson
    network: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    made: Estimator | None = None
    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    log_prob: Tensor = field(default_factory=lambda: torch.zeros(0))
    told: str = ""

    def __post_init__(self) -> None:
        self.label = self.label or self.method

    @property
    def score(self) -> float:
        """Mean log posterior density at held-out truths, in nats; of a method that was trained."""
        return float(self.log_prob.mean())


@dataclass(frozen=True)
class Race:
    """Candidates that are trained side by side.

    Attributes:
        candidates: All of them; the others are reweighted from the first.
        network: Options of the networks.
        fitting: Options of `fit.fit_source`.
        failures: Option of `learning.learn_estimator`.
        checkpoint: Beside which is kept what is trained, for a killed run to go on from.
        has_heats: Whether all are compared on the way.
        ends: When nothing further is begun, on the clock of `time.monotonic`.
    """

    candidates: Sequence[Candidate]
    network: Mapping[str, Any]
    fitting: Mapping[str, Any]
    failures: str
    checkpoint: Path
    has_heats: bool
    ends: float

    def run(self) -> list[Candidate]:
        """Train all to their end, but those that are behind on the way; return the others."""
        with counting("trainings", 2 * len(self.candidates), at_most=True, bar=False) as counter:
            racing = list(self.candidates)
            for stage in ("first", "whole") if self.has_heats else ("whole",):
                begun = []
                for one in racing:
                    begun += [one] if self._train(one, stage) else []
                    counter.update()
                behind = [lost(one, begun) if stage == "first" else "" for one in begun]
                for one, why in zip(begun, behind, strict=True):
                    one.told = why
                racing = [one for one in begun if not one.told]
        return racing

    def _options(self, one: Candidate) -> dict[str, Any]:
        """Return the options of a method's network; a likelihood is of data as they are."""
        others = {"embedding"} if traits(one.method).target == "likelihood" else set()
        shared = {key: each for key, each in self.network.items() if key not in others}
        return {**shared, **one.network}

    def epochs(self, one: Candidate) -> int:
        """Return how many epochs a method is trained for where no number is given."""
        longer = 1 if self.network["members"] == 1 else LONGER
        return longer * usual_epochs(traits(one.method), one.lesson.rows.source.rows)

    def _train(self, one: Candidate, stage: str) -> bool:
        """Train a candidate on, and say whether there was time to; there is for the first."""
        first = self.candidates[0]
        if one is not first and time.monotonic() > self.ends:
            one.told = "out of time"
            return False
        share = FIRST if stage == "first" else 1.0

        name = "-".join([self.checkpoint.stem, *re.findall(r"[\w.]+", one.label)])
        checkpoint = self.checkpoint.with_name(f"{name}.checkpoint")  # of all stages

        def train() -> Trained:
            fitting = {"max_epochs": self.epochs(one), **self.fitting, "pause": share}
            made, history = one.lesson.train(one.method, self._options(one), fitting, checkpoint)
            one.lesson.add_validity(made, self.failures, self.fitting.get("device", "auto"))
            return made, history

        one.made, one.history = kept(self.checkpoint.with_name(f"{name}-{stage}.pt"), train)
        one.log_prob = scored(first, one)
        logger.info("%s: %.4g nats at held-out truths", one.label, one.score)
        return True


def learn_campaign(
    reader: Reader,
    prior: Prior,
    method: str,
    network: Mapping[str, Any],
    *,
    minutes: Positive | None = None,
    **options: Annotated[Any, Passes(learn_estimator, given=4)],
) -> Learnt:
    """Train one method, or several and mix them where the method is made of others.

    Args:
        reader: Of the campaign.
        prior: Of theta.
        method: A name of `registry.ESTIMATORS` or ``"module:Class"``.
        network: Options of the method.
        minutes: Time after which ``auto`` begins no further training, of all methods but the
            first; what is chosen then depends on the machine.
        **options: Of `learning.learn_estimator`.

    Raises:
        ValueError: See `learning.learn_estimator`.
    """
    if traits(method).composed:
        return learn_portfolio(reader, prior, network, minutes=minutes, **options)
    return learn_estimator(reader, prior, method, network, **options)


def learn_portfolio(
    reader: Reader,
    prior: Prior,
    network: Mapping[str, Any],
    *,
    seed: int,
    checkpoint: Path,
    boards: Path,
    threads: int = 1,
    follows: bool = True,
    conditions: Conditions = NO_CONDITIONS,
    memory: float | str = sources.MEMORY,
    failures: str = "auto",
    minutes: float | None = None,
    tensorboard: bool = False,
    **fitting: Any,
) -> Learnt:
    """Train several methods on a campaign and mix what they learnt, see `learn_campaign`."""
    ends = math.inf if minutes is None else time.monotonic() + 60 * minutes
    prepare = partial(
        lesson,
        reader,
        prior,
        seed=seed,
        boards=boards if tensorboard else None,
        threads=threads,
        follows=follows,
        conditions=conditions,
        memory=memory,
    )
    names = methods_for(network.get("methods", "auto"), reader)
    # Plans refuse discrete parameters for a density of continuous ones.
    weighted = {name: estimator_class(name).learns_prior(discrete=False) for name in names}
    lessons = {each: prepare(name) for name, each in weighted.items()}  # one for all, or two
    rows = next(iter(lessons.values())).rows.source.rows
    few = rows <= FEW and not is_large(reader)
    own = {"members": MEMBERS if few else 1, **network}
    candidates = [Candidate(name, lessons[weighted[name]]) for name in names]
    if few and rows <= SPARSE and math.prod(reader.x_shape) <= rows // 5:  # or neither begins so
        candidates += [from_nothing(one) for one in candidates if one.method == "npe"]
    race = Race(
        candidates,
        {key: each for key, each in own.items() if key != "methods"},
        fitting,
        failures,
        checkpoint,
        not few,
        ends,
    )
    return _mixed(race, race.run())


def from_nothing(one: Candidate) -> Candidate:
    """Return a candidate that does not begin at a linear regression.

    Training that stops early stays near where it begins. Which start is the better one for few rows
    depends on the problem: minus log density of 4 000 other simulations, five members of NPE, 1 000
    rows, with and without the regression: sir -1.78 and -1.99, lotka_volterra -3.70 and -4.69,
    bernoulli_glm 7.59 and 7.42; gaussian_linear 10.83 and 11.26, gaussian_mixture -1.56 and -1.17.
    """
    return Candidate(one.method, one.lesson, {"linear": False}, f"{one.method} from nothing")


def methods_for(asked: Sequence[str] | str, reader: Reader) -> list[str]:
    """Return the methods that are tried, the one that others are reweighted from first.

    Args:
        asked: Names, or ``"auto"`` for those of the usual ones that suit.
        reader: Of the campaign.
    """
    usual = ["npe", "nre" if is_large(reader) else "nle"]
    names = usual if asked == "auto" else list(asked)
    proposer = next(each for each in names if traits(each).proposes)  # as `Portfolio.check` saw to
    return [proposer, *(each for each in names if each != proposer)]


def is_large(reader: Reader) -> bool:
    """Say whether data are too large for their likelihood to be learnt, or for ensembles."""
    return len(reader.x_shape) > 1 or math.prod(reader.x_shape) > MOST_NUMBERS


def scored(proposer: Candidate, one: Candidate) -> Tensor:
    """Return the log posterior density at each of some held-out truths, in nats, ``(n,)``."""
    z, x = (each[:SCORED] for each in one.lesson.rows.held_out.held[:2])
    assert proposer.made is not None
    assert one.made is not None
    parts = [proposer.made] if one is proposer else [proposer.made, one.made]
    mixed = Portfolio.of([each.eval() for each in parts], [1 / len(parts)] * len(parts))
    with torch.no_grad():
        return mixed.log_prob_of(len(parts) - 1, z.float(), x, EFFECTIVE).double()


def lost(one: Candidate, racing: Sequence[Candidate]) -> str:
    """Say why a method is stopped; empty where it is not, as others are reweighted from it."""
    best = max(racing, key=lambda each: each.score)
    behind = best.log_prob - one.log_prob
    mean, error = float(behind.mean()), float(behind.std()) / math.sqrt(len(behind))
    if one is racing[0] or mean <= max(BEHIND, ERRORS * error):
        return ""
    return f"stopped after {len(one.history)} epochs, {mean:.2g} nats behind {best.label}"


def _mixed(race: Race, finalists: Sequence[Candidate]) -> Learnt:
    """Return the mixture of what was trained to its end, and what is told of all."""
    log_prob = torch.stack([one.log_prob for one in finalists], 1)
    weights = weights_of(log_prob, _counts(finalists[0].lesson))
    for one, weight in zip(finalists, weights, strict=True):
        one.told = f"weight {weight:.2g}" if weight else "beaten by the others"
    pairs = [(one, weight) for one, weight in zip(finalists, weights, strict=True)]
    parts = [(one, weight) for one, weight in pairs if weight or one is race.candidates[0]]
    made = Portfolio.of(
        [one.made for one, _ in parts if one.made is not None], [weight for _, weight in parts]
    )
    best = finalists[int(weights.argmax())]
    table = [
        {
            "method": one.label,
            "validation_loss": -one.score if one.made is not None else None,
            "epochs": len(one.history),
            "told": one.told,
        }
        for one in race.candidates
    ]
    for one in race.candidates:
        logger.info("%s: %s", one.label, one.told)
    modelled = any(part.validity is not None for part in made.members)
    found = learnt(best.lesson, made, best.history, table, modelled=modelled)
    # What has to know of failed simulations is a part that learnt no posterior, if there is one.
    others = [part.traits.target for part in made.members if not part.traits.draws]
    failures = {**found.failures, "target": (others or ["posterior"])[0]}
    return replace(found, usual_epochs=race.epochs(best), failures=failures)


def _counts(prepared: Lesson) -> Tensor | None:
    """Return for how many each scored row counts, ``(n,)``; None for one."""
    held = prepared.rows.held_out.held
    return held[2][:SCORED].double() if len(held) > 2 else None


def weights_of(log_prob: Tensor, counts: Tensor | None) -> Array:
    """Return the weights of a mixture, ``(parts,)``, 0 for those that hardly count.

    Args:
        log_prob: Log density of each held-out truth by each part, ``(n, parts)``.
        counts: For how many each row counts.
    """
    weights = stack(log_prob, counts)
    held = weights >= min(NEGLIGIBLE, float(weights.max()))
    made = np.zeros(len(weights))
    made[held.numpy()] = stack(log_prob[:, held], counts).numpy()
    return made
