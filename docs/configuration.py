"""Write what is said of the configuration from the signatures of what takes it.

python docs/configuration.py

makes the schema for editors, workflow/schemas/config.schema.yaml, and the tables of
config/README.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, is_typeddict

import yaml
from annotated_types import DocInfo
from pydantic import TypeAdapter

sys.path.insert(0, str(Path(__file__).parents[1]))  # this checkout, whatever else is installed

from sbi_pipeline import registry
from sbi_pipeline.choosing import learn_campaign
from sbi_pipeline.diagnostics.ranks import rank
from sbi_pipeline.networks.encoders import embed
from sbi_pipeline.networks.flows import FLOWS
from sbi_pipeline.options import Chosen, OneOf, Passes, Takes
from sbi_pipeline.priors.families import TYPES
from sbi_pipeline.study import binding, given_priors, schema, thresholds
from sbi_pipeline.study.signatures import (
    MISSING,
    Option,
    Record,
    bare,
    default_of,
    documented_entry,
    is_open,
    marks,
    own_options,
    record_of,
)

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
MANUAL = ROOT / "config/README.md"
MARKS = ("begin", "end")
HEAD = (
    "# Made by docs/configuration.py (`make docs`) from the signatures of what takes the options.\n"
)
OWN = "^[^:]+:[^:]+$"  # my_module:MyClass

Schema = dict[str, Any]


# The schema ---------------------------------------------------------------------------------------


def whole_schema() -> Schema:
    """Return the JSON schema of a configuration."""
    made = record_schema(record_of(schema.Configuration, "", 0, {}))
    checks = {name: record_schema(each) for name, each in thresholds.known().items()}
    made["properties"]["thresholds"] |= {"properties": checks, "additionalProperties": False}
    estimator = made["properties"]["estimators"]["additionalProperties"]
    estimator["properties"]["sampler"] = sampler_schema()
    made["properties"]["calibration"]["properties"]["sampler"] = sampler_schema()
    estimator["allOf"] = [
        only_if("method", method, {"network": network_schema(method)})
        for method in registry.ESTIMATORS
    ]
    campaign = made["properties"]["campaigns"]["additionalProperties"]
    campaign["allOf"] = [
        only_if(
            "simulator", name, {"options": record_schema(of_part(name, registry.SIMULATORS, 0))}
        )
        for name in registry.SIMULATORS
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of a study",
        **made,
    }


def only_if(key: str, value: str, properties: Schema) -> Schema:
    """Return what holds where a key has a value."""
    return {
        "if": {"properties": {key: {"const": value}}, "required": [key]},
        "then": {"properties": properties},
    }


def record_schema(record: Record) -> Schema:
    """Return the schema of what takes options."""
    made: Schema = {
        "type": "object",
        "properties": {name: option_schema(each) for name, each in record.options.items()},
        "additionalProperties": record.open,
    }
    needed = [name for name, each in record.options.items() if each.required]
    return {**made, "required": needed} if needed else made


def option_schema(option: Option) -> Schema:
    """Return the schema of one option, with its meaning and its default."""
    told = []
    if option.meaning:
        told.append(plain(option.meaning).replace("`", "").replace("\\*", "part of the key"))
    if default := written_default(option):
        told.append(f"Default: {default}.")
    made = schema_of(option.annotation)
    return {**made, "description": " ".join(told)} if told else made


def schema_of(annotation: Any) -> Schema:
    """Return the schema of an annotation."""
    words = [word for each in marks(annotation, Chosen) for word in each.words]
    made = unchosen(annotation)
    return {"anyOf": [{"enum": words}, made]} if words else made


def unchosen(annotation: Any) -> Schema:
    """Return the schema of an annotation, but for words that leave it open."""
    kind, takes = bare(annotation), marks(annotation, Takes)
    made: Schema
    if takes:
        made = taken(takes[0], kind)
    elif tables := marks(annotation, OneOf):
        made = names(tables[0])
    elif is_typeddict(kind):
        made = record_schema(record_of(kind, "", 0, {}))
    elif get_origin(kind) is dict:
        key, value = get_args(kind)
        made = {"type": "object", "additionalProperties": schema_of(value)}
        if pattern := single(key).get("pattern"):
            made["propertyNames"] = {"pattern": pattern}
    elif len(binding.parts(annotation)) > 1:
        made = {"anyOf": [schema_of(each) for each in binding.parts(annotation)]}
    elif get_origin(kind) in (list, tuple):
        inner = [schema_of(each) for each in get_args(kind) if each is not Ellipsis]
        made = {**single(annotation), "type": "array"}
        made |= {"items": inner[0]} if len(set(map(str, inner))) == 1 else {}
    else:
        made = single(annotation)
    return made


def single(annotation: Any) -> Schema:
    """Return what pydantic says of a single value."""
    made = TypeAdapter(binding.for_pydantic(annotation)).json_schema()
    return {key: value for key, value in made.items() if key not in ("title", "$defs")}


def names(one_of: OneOf) -> Schema:
    """Return the schema of a name of a table, open or closed."""
    known: Schema = {"enum": [*one_of.besides, *one_of.table]}
    return (
        {"anyOf": [known, {"type": "string", "pattern": OWN}]} if is_open(one_of.table) else known
    )


def taken(takes: Takes, kind: Any) -> Schema:
    """Return the schema of what has options: of each that may take them, all together."""
    if takes.to is registry.SIMULATORS or takes.by == "method":
        return {"type": "object"}  # by name, below
    made = record_schema(all_of(takes))
    if takes.to is schema.prior_entry:
        made = prior_schema(made)
    members = [] if takes.short else binding.parts(kind)
    if others := [each for each in members if binding.is_single(each)]:
        return {"anyOf": [*map(schema_of, others), made]}
    return (
        {"anyOf": [option_schema(all_of(takes).options[takes.short]), made]}
        if takes.short
        else made
    )


def all_of(passes: Passes) -> Record:
    """Return the options of all that may take them; of a name of one's own nothing is known."""
    if isinstance(passes.to, Mapping):
        records = [of_part(name, passes.to, passes.given) for name in passes.to]
        options = {name: each for one in records for name, each in one.options.items()}
        return Record("", options, is_open(passes.to))
    target = registry.load_part(passes.to, {}) if isinstance(passes.to, str) else passes.to
    return with_rest(target, passes.given)


def with_rest(target: Any, given: int) -> Record:
    """Return the options of what takes them and of whatever it passes others on to."""
    if is_typeddict(target) or isinstance(target, Mapping):
        return record_of(target, "", 0, {})
    options, passes = own_options(target, given)
    if passes is None or passes.by == "method":
        return Record("", options, open=passes is not None)
    further = all_of(passes)
    return Record("", {**further.options, **options}, further.open)


def of_part(name: str, table: Mapping[str, Any], given: int) -> Record:
    """Return the options of an entry of a table."""
    return with_rest(documented_entry(table, name), given)


def network_schema(method: str) -> Schema:
    """Return the schema of the options of a method's network."""
    build, _ = own_options(registry.load_part("sbi_pipeline.estimators:build", {}), 3)
    own = of_part(method, registry.ESTIMATORS, 2)
    return record_schema(Record("", {**build, **own.options}))


def sampler_schema() -> Schema:
    """Return the schema of a sampler's options; those of one's own may have any."""
    return {
        "type": "object",
        "if": {"properties": {"name": {"pattern": OWN}}, "required": ["name"]},
        "else": record_schema(sampler_record()),
    }


def sampler_record() -> Record:
    """Return the options of all registered samplers and those of any."""
    own = record_of(schema.SamplerEntry, "", 0, {}).options
    return Record("", {**own, **all_of(Passes(registry.SAMPLERS)).options})


def prior_schema(made: Schema) -> Schema:
    """Return the schema of a prior: each family with its own arguments, or one from a file."""
    texts = ("type", "unit", "label", "description")
    own = {name: each if name in texts else {} for name, each in made["properties"].items()}
    families = []
    for name, arguments in schema.DISTRIBUTIONS.items():
        rule = only_if("type", name, {key: schema_of(each) for key, each in arguments.items()})
        allowed = {"enum": [*texts, *arguments]}
        rule["then"] |= {"required": list(arguments), "propertyNames": allowed}
        families.append(rule)
    family = {**made, "properties": own, "required": ["type"], "allOf": families}
    return {"anyOf": [family, prior_from_file(own), {"type": "string"}]}  # a text names a file


def prior_from_file(texts: Mapping[str, Schema]) -> Schema:
    """Return the schema of a prior whose samples or density stand in a file."""
    known = (*given_priors.KEYS, *given_priors.SOURCES)
    return {
        "type": "object",
        "properties": {name: texts.get(name, {"type": "string"}) for name in known},
        "additionalProperties": False,
        "oneOf": [{"required": [source]} for source in given_priors.SOURCES],
    }


# The tables ---------------------------------------------------------------------------------------


def tables() -> dict[str, str]:
    """Return the tables of the manual by name."""
    build, _ = own_options(registry.load_part("sbi_pipeline.estimators:build", {}), 3)
    return {
        "configuration": table(entries(schema.Configuration)),
        "campaigns": table(entries(schema.CampaignEntry)),
        "observations": table(entries(schema.Observation)),
        "priors": priors_table(),
        "estimators": table(entries(schema.EstimatorEntry)),
        "network": table(build),
        "methods": by_name(registry.ESTIMATORS, 2),
        "flows": by_name(FLOWS, 2),
        "embeddings": table(own_options(embed, 1)[0]) + "\n" + by_name(registry.EMBEDDINGS, 1),
        "training": table(with_rest(learn_campaign, 4).options),
        "sampler": table(sampler_record().options),
        "refine": table(entries(schema.Refinement)),
        "calibration": table(with_rest(rank, 3).options),
        "sweeps": table(entries(schema.Sweep)),
        "comparisons": table(entries(schema.Comparison)),
        "classifier": table(
            all_of(Passes(f"{schema.CLASSIFIER}:build_classifier", given=2)).options
        ),
        "learning a classifier": table(
            all_of(Passes(f"{schema.CLASSIFIER}:learn_classifier", given=2)).options
        ),
        "simulators": by_name(registry.SIMULATORS, 0),
    }


def entries(typed: Any) -> dict[str, Option]:
    """Return the entries of a typed dictionary, those of one below it by a dotted name."""
    found: dict[str, Option] = {}
    for name, option in record_of(typed, "", 0, {}).options.items():
        if is_typeddict(bare(option.annotation)):
            below = entries(bare(option.annotation))
            found |= {f"{name}.{key}": each for key, each in below.items()}
        else:
            found[name] = option
    return found


def table(options: Mapping[str, Option]) -> str:
    """Return a table of options."""
    lines = ["| key | default | what it can be | meaning |", "|---|---|---|---|"]
    lines += [f"| `{name}` | {' | '.join(cells(each))} |" for name, each in options.items()]
    return "\n".join(lines) + "\n"


def by_name(named: Mapping[str, Any], given: int) -> str:
    """Return one table of the options of all entries of a table of parts."""
    lines = ["| | key | default | what it can be | meaning |", "|---|---|---|---|---|"]
    for name in named:
        options, passes = own_options(documented_entry(named, name), given)
        if passes is not None and passes.by is None:
            options = {**options, **all_of(passes).options}
        rows = [f"`{key}` | {' | '.join(cells(each))} |" for key, each in options.items()]
        if passes is not None and passes.by is not None:
            rows.append(f"… | | | those of its `{passes.by}` |")
        for first, row in zip([f"`{name}`", *[""] * len(rows)], rows or ["| | | |"], strict=False):
            lines.append(f"| {first} | {row}")
    return "\n".join(lines) + "\n"


def cells(option: Option) -> tuple[str, str, str]:
    """Return default, kind and meaning of an option, for a row of a table."""
    wanted = binding.words(option.annotation).replace("|", "or")
    return written_default(option), wanted, plain(option.meaning)


def written_default(option: Option) -> str:
    """Return the default of an option as one writes it; nothing where there is none."""
    default = default_of(option)
    if default is MISSING or default is None or default in ("", ()):
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return str(list(default))
    return f"{default:g}" if isinstance(default, float) else str(default)


def priors_table() -> str:
    """Return the families of priors with their arguments."""
    lines = ["| type | arguments |", "|---|---|"]
    for name, arguments in schema.DISTRIBUTIONS.items():
        told = []
        for key, annotation in arguments.items():
            said = marks(annotation, DocInfo)
            told.append(f"`{key}` {said[0].documentation}" if said else f"`{key}`")
        discrete = " (discrete)" if TYPES[name].discrete else ""
        lines.append(f"| `{name}` | {', '.join(told)}{discrete} |")
    return "\n".join(lines) + "\n"


def plain(text: str) -> str:
    """Return a sentence of a docstring in Markdown."""
    return text.replace("``", "`").replace("|", "\\|")


# The files ----------------------------------------------------------------------------------------


def schema_text() -> str:
    """Return the schema as it is written."""
    made = json.loads(json.dumps(whole_schema()))  # without references between its parts
    return HEAD + yaml.safe_dump(made, sort_keys=False, allow_unicode=True, width=100)


def manual_text(text: str) -> str:
    """Return the manual with its tables made anew."""
    for name, made in tables().items():
        begin, end = (f"<!-- {word}: docs/configuration.py {name} -->\n" for word in MARKS)
        if begin not in text:
            raise ValueError(f"{MANUAL} has no {begin.strip()}")
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{made}\n{end}{rest.split(end)[1]}"
    return text


if __name__ == "__main__":
    SCHEMA.write_text(schema_text())
    MANUAL.write_text(manual_text(MANUAL.read_text()))
