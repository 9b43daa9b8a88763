"""What a report page tells, as loaded objects that know no paths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar

from ..diagnostics.agreement import Agreement
from ..diagnostics.calibration import Uniformity
from ..diagnostics.check import STATUSES, Check, Status
from ..diagnostics.diagnostic import Finding
from ..diagnostics.information import Information
from ..diagnostics.joint_agreement import Classified
from ..diagnostics.object_agreement import PopulationAgreement
from ..populations import ObservedCatalogue
from ..rounds import SimulatedRounds
from ..sampled_posteriors import ObservedData
from ..subjects import SimulatedRows, TrainedEstimator, calibrations
from .recommendation import Recommendation, recommend

Found = TypeVar("Found")
MAX_SHOWN = 8
"""Observations with figures; a page of hundreds would not open."""


@dataclass(frozen=True)
class DescribedParameter:
    """A parameter of the question.

    Attributes:
        name: As in the configuration.
        role: Inferred, dropped to marginalise over it, known with every data set, or derived from
            inferred ones.
        prior: The prior, or the expression of a derived parameter, in words.
        label: LaTeX between dollars, or text; the name if empty.
        unit: May be empty.
    """

    name: str
    role: Literal["inferred", "nuisance", "known", "derived"]
    prior: str
    label: str = ""
    unit: str = ""


@dataclass(frozen=True)
class JudgedObservation:
    """An observation in the table of many.

    Attributes:
        name: As in the configuration.
        status: The worst of its checks.
        taken: The posterior to take of it; empty for none.
        failed: Names of the checks that failed.
        warned: Names of those that warned.
    """

    name: str
    status: Status
    taken: str
    failed: Sequence[str]
    warned: Sequence[str]


@dataclass(frozen=True)
class Report:
    """All a page needs.

    Attributes:
        campaign: Its name.
        title: Of the page.
        question: What is asked of the data, in words; may be empty.
        simulator: Its name.
        parameters: In the order of the configuration, derived ones last.
        simulations: Of the campaign.
        estimators: In the order of the configuration.
        observations: In the order of the configuration.
        findings: What the diagnostics found; the verdict is made of their checks.
        config_yaml: The configuration of the campaign and its estimators.
        versions: Of software, by name; commits, too.
        keys: Of artefacts, by stage.
        timings: Seconds of work by stage.
        errors: One failed row of each kind of error: ``status``, ``text``, ``row``, ``parameters``.
        epilogue: How to make this page again, in words.
        catalogues: In the order of the configuration.
        rounds: Those that it was simulated in, if it was.
        refined: Refined posteriors that were asked about held-out simulations.
        networks: Options that the network of each estimator got, with its ``members``, by name.
        corner: Parameters that corner plots show; empty for those that matter most.
    """

    campaign: str
    title: str
    question: str
    simulator: str
    parameters: Sequence[DescribedParameter]
    simulations: SimulatedRows
    estimators: Sequence[TrainedEstimator]
    observations: Sequence[ObservedData]
    findings: Sequence[Finding]
    config_yaml: str
    versions: Mapping[str, str]
    keys: Mapping[str, str]
    timings: Mapping[str, float]
    errors: Sequence[Mapping[str, Any]] = ()
    epilogue: str = ""
    catalogues: Sequence[ObservedCatalogue] = ()
    rounds: SimulatedRounds | None = None
    refined: Sequence[TrainedEstimator] = ()
    networks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    corner: Sequence[str] = ()

    @property
    def checks(self) -> list[Check]:
        """What the verdict is made of."""
        return [check for each in self.findings for check in each.checks]

    @property
    def sorted_checks(self) -> list[Check]:
        """Checks, the worst first."""
        return sorted(self.checks, key=lambda check: -STATUSES.index(check.status))

    @cached_property
    def recommendations(self) -> dict[str, Recommendation]:
        """Which posterior to take of each observation that has any."""
        every = [*self.estimators, *self.refined]
        about = [(each, each.subject.names.get("observation")) for each in self.findings]
        return {
            one.name: recommend(one, every, [each for each, of in about if of in (None, one.name)])
            for one in self.observations
            if one.posteriors
        }

    @property
    def has_many_observations(self) -> bool:
        """Whether a table tells of the observations, since not all of them have figures."""
        return len(self.observations) > MAX_SHOWN

    @property
    def judged_observations(self) -> list[JudgedObservation]:
        """Every observation with what its own checks say, the worst first."""
        found = [self._judged(each) for each in self.observations]
        return sorted(
            found,
            key=lambda each: (
                -STATUSES.index(each.status),
                -len(each.failed),
                -len(each.warned),
            ),
        )

    @cached_property
    def _checks_by_observation(self) -> dict[str, list[Check]]:
        found: dict[str, list[Check]] = {}
        for each in self.findings:
            found.setdefault(each.subject.names.get("observation", ""), []).extend(each.checks)
        return found

    def _judged(self, observation: ObservedData) -> JudgedObservation:
        own = self._checks_by_observation.get(observation.name, [])
        failed, warned = (
            list(dict.fromkeys(each.name for each in own if each.status == status))
            for status in ("fail", "warn")
        )
        taken = self.recommendations.get(observation.name)
        return JudgedObservation(
            observation.name,
            "fail" if failed else "warn" if warned else "pass",
            taken.posterior if taken else "",
            failed,
            warned,
        )

    @cached_property
    def common_notes(self) -> dict[str, list[str]]:
        """Notes that a posterior has of every one of many observations, by its name."""
        if not self.has_many_observations:
            return {}
        noted: dict[str, Counter[str]] = {}
        for one in self.observations:
            for name, posterior in one.posteriors.items():
                noted.setdefault(name, Counter()).update(posterior.notes)
        everywhere = len(self.observations)
        return {
            name: [note for note, times in found.items() if times == everywhere]
            for name, found in noted.items()
        }

    @property
    def shown(self) -> list[ObservedData]:
        """Observations with figures."""
        return [each for each in self.observations if each.detailed]

    @property
    def labels(self) -> dict[str, str]:
        """Labels by parameter."""
        return {each.name: each.label or each.name for each in self.parameters}

    def known_of(
        self, observed: ObservedData | ObservedCatalogue
    ) -> list[tuple[DescribedParameter, str]]:
        """Return known parameters with their values in words; of several, the range of these."""
        if isinstance(observed, ObservedCatalogue):
            ends = observed.conditions
        else:
            ends = {name: (each.min(), each.max()) for name, each in observed.known.items()}
        return [
            (each, " to ".join(dict.fromkeys(f"{end:.5g}" for end in ends[each.name])))
            for each in self.parameters
            if each.name in ends
        ]

    @property
    def calibrated(self) -> bool:
        """Whether any estimator was asked about held-out simulations."""
        return bool(calibrations(self.estimators))

    @property
    def informations(self) -> dict[str, Information]:
        """Information gained by estimator, where it was calibrated."""
        return self._found(Information)

    @property
    def uniformities(self) -> dict[str, Uniformity]:
        """Tests of the ranks by estimator, where it was calibrated."""
        return self._found(Uniformity)

    @property
    def agreements(self) -> dict[str, Agreement]:
        """How far apart two posteriors are, by the title of the pair."""
        return self._found(Agreement)

    @property
    def accuracies(self) -> dict[str, Classified]:
        """How well a classifier tells two posteriors apart, by the title of the pair."""
        return self._found(Classified)

    @property
    def population_agreements(self) -> dict[str, PopulationAgreement]:
        """How far apart two estimators are over a catalogue, by the title of the pair."""
        return self._found(PopulationAgreement)

    def _found(self, kind: type[Found]) -> dict[str, Found]:
        """Return what was measured of one kind, by the title of its subject."""
        return {
            each.subject.title: each.found for each in self.findings if isinstance(each.found, kind)
        }
