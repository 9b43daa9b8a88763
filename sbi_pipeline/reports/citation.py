"""How a campaign was done, as a paragraph for a paper, and the works that it rests on.

Works are named in the paragraph as Pandoc names them, ``[@key; @key]``, by the keys of
``templates/references.bib``; `in_plain_text`, `in_latex` and `bibtex` turn it into what a paper
needs.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..populations import counted
from .contents import Report
from .verdict import overall

OWN, OWN_KEY, OWN_DISTRIBUTION = "sbi_pipeline", "sbipipeline", "sbi-pipeline"
ROLES = ("inferred", "nuisance", "known")
OWN_ENTRY = r"""@software{sbipipeline,
  author = {{The sbi\_pipeline authors}},
  title = {sbi\_pipeline: from priors to a posterior one can trust},
  version = {VERSION}
}"""
METHODS = {
    "auto": "a mixture with weights that make held-out simulations probable [@yao2018]",
    "npe": "neural posterior estimation (NPE) [@papamakarios2016; @greenberg2019]",
    "nle": "neural likelihood estimation (NLE) [@papamakarios2019]",
    "nre": "neural ratio estimation (NRE) [@hermans2020; @miller2022]",
    "mnre": "marginal neural ratio estimation (MNRE) [@miller2021; @miller2022]",
    "fmpe": "flow matching posterior estimation (FMPE) [@lipman2023; @dax2023flow]",
    "cmpe": "consistency model posterior estimation (CMPE) [@schmitt2024; @song2024]",
}
FLOWS = {
    "nsf": "neural spline flows [@durkan2019]",
    "nsf_ar": "neural spline flows [@durkan2019]",
    "maf": "masked autoregressive flows [@papamakarios2017]",
}
EMBEDDINGS = {
    "deep_set": "deep sets [@zaheer2017]",
    "set_transformer": "a set transformer [@lee2019]",
}
CHECKS = {
    "calibration": "simulation-based calibration [@talts2018; @sailynoja2022]",
    "coverage": "the coverage of credible intervals",
    "TARP": "TARP [@lemos2023]",
    "local calibration": "local classifier tests near the observation [@linhart2023]",
    "posterior SBC": "simulation-based calibration at draws of the posterior [@sailynoja2025]",
    "predictive": "posterior predictions",
    "joint agreement": "classifiers of the draws of two estimators [@lopezpaz2017]",
    "convergence": "the convergence of chains (R-hat) [@vehtari2021]",
}
SOFTWARE = {
    "snakemake": "Snakemake {} [@molder2021]",
    "torch": "PyTorch {} [@paszke2019]",
    "nflows": "nflows {} [@durkan2020]",
    "dask": "Dask {} [@rocklin2015]",
    "arviz-stats": "ArviZ (arviz-stats {}) [@kumar2019]",
    "numpy": "NumPy {} [@harris2020]",
    "scipy": "SciPy {} [@virtanen2020]",
}


def paragraph(report: Report) -> str:
    """Return how a campaign was done, in sentences that name works as ``[@key]``."""
    told = [*_question(report), *_inference(report), *_checked(report)]
    return " ".join([*told, software(report.versions)])


def in_plain_text(text: str) -> str:
    """Return a paragraph with works by author and year: (Papamakarios & Murray 2016)."""
    return _replaced(text, lambda keys: f"({'; '.join(map(_short, keys))})")


def in_latex(text: str) -> str:
    r"""Return a paragraph as LaTeX, with works as ``\citep{…}``."""
    escaped = re.sub(r"(?<!\\)([_%&#])", r"\\\1", text).replace("\u202f", r"\,")
    return _replaced(escaped, lambda keys: rf"\citep{{{','.join(keys)}}}")


def bibtex(text: str, version: str) -> str:
    """Return the entries of the works that a paragraph names, in its order.

    Args:
        text: The paragraph.
        version: Of this package.
    """
    entries = {**_references(), OWN_KEY: OWN_ENTRY.replace("VERSION", version)}
    return "\n\n".join(entries[key] for key in _keys(text) if key in entries) + "\n"


def own_version(versions: Mapping[str, str]) -> str:
    """Return the version of this package among those of a page; empty where it is not told."""
    return versions.get(OWN_DISTRIBUTION, "")


def _question(report: Report) -> Iterator[str]:
    """Yield what was inferred, from how many simulations."""
    names = {role: [each.name for each in report.parameters if each.role == role] for role in ROLES}
    simulated = report.simulations
    failed = sum(simulated.failures.values())
    without = f", of which {counted(failed)} failed" if failed else ""
    given = f", given {in_a_row(names['known'])}" if names["known"] else ""
    dropped = f" We marginalised over {in_a_row(names['nuisance'])}." if names["nuisance"] else ""
    existing = " existing" if simulated.weights else ""
    yield (
        f"We inferred {in_a_row(names['inferred'])}{given} by simulation-based inference "
        f"[@cranmer2020] from {counted(simulated.rows)}{existing} simulations of "
        f"{report.simulator}{without}.{dropped}"
    )
    if report.rounds:
        rounds = report.rounds.rounds
        total = sum(each.simulated for each in rounds)
        yield (
            f"{counted(total)} simulations were made in {len(rounds)} rounds, each within the box "
            "of the prior that held the posterior of the round before [@miller2021; "
            "@deistler2022]."
        )


def _inference(report: Report) -> Iterator[str]:
    """Yield how posteriors were estimated and drawn from."""
    estimators = [_estimator(report, each.name, each.method) for each in report.estimators]
    if estimators:
        yield f"Posteriors were estimated by {in_a_row(dict.fromkeys(estimators))}."
    drawn = [each for one in report.observations for each in one.posteriors.values()]
    used = {str(each.facts.get("sampler", "")): None for each in drawn}
    weighed = any("k_hat" in each.facts for each in drawn if each.facts["sampler"] == "emcee")
    if "emcee" in used:
        yield (
            "Where a method gives a likelihood or a ratio, draws are those of MCMC with emcee "
            "[@foremanmackey2013]"
            + (", or of importance sampling [@vehtari2024]." if weighed else ".")
        )
    if "reweighted" in used:
        yield (
            "Draws of some posteriors were reweighted by importance sampling [@dax2023importance; "
            "@vehtari2024]."
        )
    if "moved" in used:
        yield "Some posteriors were recalibrated by held-out simulations [@kuleshov2018]."


def _estimator(report: Report, name: str, method: str) -> str:
    """Return what a method is called, and what its network is built of."""
    return _called(method, report.networks.get(name, {}))


def _called(method: str, network: Mapping[str, Any]) -> str:
    if parts := network.get("parts"):
        of = in_a_row([_called(each["method"], _with_members(each)) for each in parts])
        return f"{METHODS.get(method, method)}: {of}"
    flow = network.get("flow", "nsf" if method in ("npe", "nle") else None)
    parts = [FLOWS.get(str(flow), "")]
    parts += [EMBEDDINGS.get(str(network.get("embedding")), "")]
    if network.get("members", 1) > 1:
        parts.append(f"an ensemble of {network['members']} networks [@hermans2022]")
    if network.get("balance"):
        parts.append("a balanced classifier [@delaunoy2022]")
    built = [part for part in parts if part]
    called = METHODS.get(method, method)
    return f"{called} with {in_a_row(built)}" if built else called


def _with_members(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {**spec["network"], "members": spec["members"]}


def _checked(report: Report) -> Iterator[str]:
    """Yield by which checks, and what they said."""
    asked = {check.name for check in report.checks}
    known = [text for name, text in CHECKS.items() if name in asked]
    if known:
        yield f"They were checked, among others, by {in_a_row(known)}."
    yield f"Verdict: {overall(report.checks).sentence}"


def software(versions: Mapping[str, str]) -> str:
    """Return a sentence about the software that a page was made with, by its versions."""
    own = f"{OWN} {own_version(versions)} [@{OWN_KEY}]"
    known = {name: each.partition("+")[0] for name, each in versions.items()}
    used = [text.format(known[name]) for name, text in SOFTWARE.items() if name in known]
    return f"All was made with {in_a_row([own, *used])}."


def in_a_row(names: Iterable[str]) -> str:
    """Return names as a sentence lists them: "a, b and c"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _keys(text: str) -> list[str]:
    """Return the keys of the works that a text names, each once."""
    return list(dict.fromkeys(re.findall(r"@([\w:]+)", text)))


def _replaced(text: str, told: Callable[[list[str]], str]) -> str:
    return re.sub(r"\[@[^\]]+\]", lambda found: told(_keys(found[0])), text)


@functools.cache
def _references() -> dict[str, str]:
    """Return the entries of all works by key."""
    text = (importlib.resources.files("sbi_pipeline") / "templates/references.bib").read_text()
    entries = [entry for entry in text.strip().split("\n\n") if entry]
    return {re.findall(r"^@\w+\{(\w+),", entry)[0]: entry for entry in entries}


def _short(key: str) -> str:
    """Return authors and year of a work."""
    if key == OWN_KEY:
        return f"the {OWN} authors"
    entry = _references().get(key)
    if entry is None:  # of another version of this package
        return key
    names = re.findall(r"author = \{(.*)\}", entry)[0].split(" and ")
    (year,) = re.findall(r"year = \{(\d+)\}", entry)
    family = [name.partition(",")[0] for name in names]
    match family:
        case [one]:
            who = one
        case [one, other]:
            who = f"{one} & {other}"
        case _:
            who = f"{family[0]} et al."
    return f"{who} {year}"
