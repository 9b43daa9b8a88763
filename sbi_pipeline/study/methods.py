"""Options that depend on what an estimator is: of its sampler, its training, its searches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from .. import estimators, registry, samplers
from ..networks.encoders import find_embedding
from ..options import Takes
from ..samplers import Sampler
from ..training.search import candidates
from ..types import Traits
from .binding import Binding
from .files import Keys
from .schema import Config, EstimatorEntry, SamplerEntry
from .signatures import Option, Record, record_of, stated

SEARCHED = {
    "network": EstimatorEntry.__annotations__["network"],
    "training": Annotated[
        Mapping[str, Any], Takes("sbi_pipeline.training.fit:fit_source", given=3)
    ],
}
"""What takes the options that a search tries values of."""


def bind_estimator(binding: Binding, entry: Config, keys: Keys) -> Config:
    """Bind what depends on the method, and refuse what would have no effect with it.

    Args:
        binding: Where problems go.
        entry: An estimator's entry, whose form is right.
        keys: The way to it.

    Returns:
        The entry, with what it was bound to.
    """
    method = entry["method"]
    try:
        traits = estimators.traits(method)
    except ValueError as error:
        binding.wrong((*keys, "method"), str(error))
        return entry
    _check_embedding(binding, entry.get("network", {}), (*keys, "network", "embedding"))
    training = entry.get("training", {})
    made = dict(entry)
    if "sampler" in entry:
        where = (*keys, "sampler")
        made["sampler"] = _bind_sampler(binding, entry["sampler"], method, traits, where)
    for name, why in _without_effect(traits):
        if training.get(name):
            binding.wrong((*keys, "training", name), f"has no effect: {method} {why}; remove it")
    if training.get("grid") is not None:
        grid = _bind_grid(binding, training["grid"], entry, (*keys, "training", "grid"))
        made["training"] = {**training, "grid": grid}
    return made


def _check_embedding(binding: Binding, network: Config, keys: Keys) -> None:
    """Refuse a class of the user's own that is no embedding."""
    written = network.get("embedding", "auto")
    name = written.get("name", "auto") if isinstance(written, Mapping) else written
    if ":" in str(name):
        try:
            find_embedding(name)
        except ValueError as error:
            binding.wrong(keys, str(error))


def bind_calibration(binding: Binding, entry: Config, methods: Sequence[str]) -> Config:
    """Bind the sampler of the calibration to those that take its options.

    Args:
        binding: Where problems go.
        entry: The entry ``calibration``, whose form is right.
        methods: Of all estimators.

    Returns:
        The entry, with what it was bound to.
    """
    if "sampler" not in entry:
        return entry
    given, keys = entry["sampler"], ("calibration", "sampler")
    if "proposal" in given:
        text = "a proposal is named by the sampler of an estimator, for both; remove it here"
        binding.wrong((*keys, "proposal"), text)
        return entry
    try:
        used = [
            samplers.sampler_class(stated(SamplerEntry, given, "name"), estimators.traits(method))
            for method in dict.fromkeys(methods)
        ]
    except ValueError as error:
        binding.wrong((*keys, "name"), str(error))
        return entry
    options = {name: each for one in used for name, each in options_of(one).items()}
    name = {"name": record_of(SamplerEntry, "", 0, {}).options["name"]}
    record = Record("the sampler of a calibration", {**name, **options})
    others = _of_others(record)
    for key in [each for each in given if each in others]:
        binding.wrong((*keys, key), f"has no effect: {_listed(methods)} are drawn from directly")
    rest = {key: value for key, value in given.items() if key not in others}
    return {**entry, "sampler": binding.record(record, rest, keys)}


def bind_lists(
    binding: Binding, part: str, entry: Config, lists: Mapping[str, Sequence[Any]], keys: Keys
) -> dict[str, list[Any]]:
    """Bind options that come with a list of values each, in all combinations.

    Args:
        binding: Where problems go.
        part: ``network`` or ``training``.
        entry: The estimator whose options they replace.
        lists: Values by option.
        keys: The way to them.

    Returns:
        The lists, with what their values were bound to.
    """
    takes, around = SEARCHED[part], {"method": entry["method"]}
    base = {key: value for key, value in entry.get(part, {}).items() if key not in OWN[part]}
    firsts = {name: values[0] for name, values in lists.items()}
    said = set()
    made: dict[str, list[Any]] = {name: [] for name in lists}
    for name, values in lists.items():
        for value in values:
            trial = Binding()
            options = trial.value(takes, {**base, **firsts, name: value}, keys, around)
            made[name].append(options.get(name, value))
            for problem in trial.problems:
                option, text = problem.keys[len(keys)], problem.text
                if option in lists and (option, text) not in said:
                    said.add((option, text))
                    binding.wrong((*keys, option), text)
    return made


def bind_sweep(binding: Binding, config: Config, sweep: Config, keys: Keys) -> Config:
    """Bind the options that a sweep tries to the networks of all its estimators."""
    if "network" not in sweep:
        return sweep
    network, where = sweep["network"], (*keys, "network")
    base = config["campaigns"].get(sweep["campaign"], {}).get("estimators", config["estimators"])
    for name in sweep.get("estimators", base):
        if name in config["estimators"]:
            network = bind_lists(binding, "network", config["estimators"][name], network, where)
    return {**sweep, "network": network}


def options_of(sampler: type[Sampler]) -> Mapping[str, Option]:
    """Return the options of a sampler."""
    return record_of(sampler, sampler.__name__, 0, {}).options


OWN = {
    "network": (),
    "training": ("memory", "failures", "grid", "tensorboard", "minutes"),
}
"""What of a part's options a search cannot try."""


def _bind_sampler(
    binding: Binding, given: Config, method: str, traits: Traits, keys: Keys
) -> Config:
    """Bind the options of a sampler to the one that will be used."""
    name = stated(SamplerEntry, given, "name")
    try:
        chosen = samplers.sampler_class(name, traits)
    except ValueError as error:
        binding.wrong((*keys, "name"), str(error))
        return given
    entry = record_of(SamplerEntry, "a sampler", 0, {})
    record = Record(f"the sampler of {method}", {**entry.options, **options_of(chosen)})
    others = _of_others(record)
    if chosen.needs == "draws":
        others |= {"proposal"}
    for key in [each for each in given if each in others]:
        binding.wrong((*keys, key), f"has no effect: {method} is drawn from directly; remove it")
    rest = {key: value for key, value in given.items() if key not in others}
    made: Config = binding.record(record, rest, keys)
    return made


def _of_others(record: Record) -> set[str]:
    """Return the options of registered samplers that are none of a record's."""
    every = (registry.load_part(name, registry.SAMPLERS) for name in registry.SAMPLERS)
    return {option for each in every for option in options_of(each)} - set(record.options)


def _without_effect(traits: Traits) -> Iterator[tuple[str, str]]:
    """Yield options of a training that do nothing for a method, and why."""
    if traits.draws and not traits.composed:
        yield "failures", "learns the posterior of data that are valid"
    if traits.composed:
        yield "grid", "compares methods, not settings"
    else:
        yield "minutes", "is trained to its end"
    if not traits.loss_judges:
        yield "grid", "has no loss that says how good an estimator is"
    if not (traits.loss_judges and traits.stops_early):
        yield "patience", "is trained to its last epoch"


def _bind_grid(binding: Binding, grid: Config, entry: Config, keys: Keys) -> Config:
    """Bind every value of a search."""
    try:
        candidates(grid)
        made = {
            part: bind_lists(binding, part, entry, lists, (*keys, part))
            for part, lists in grid.items()
        }
        combinations = len(candidates(made))
    except ValueError as error:
        binding.wrong(keys, str(error))
        return grid
    if combinations == 1:
        binding.wrong(keys, "nothing varies; wanted two values or more of some option")
    for part, lists in grid.items():
        for name in lists:
            if name in entry.get(part, {}):
                text = f"has no effect: training.grid.{part} has it too; remove one of the two"
                binding.wrong((*keys[:2], part, name), text)
    return made


def _listed(methods: Sequence[str]) -> str:
    *names, last = dict.fromkeys(methods)
    return f"{', '.join(names)} and {last}" if names else last
