"""Names usable in the configuration, where what they name lives, and its declared version.

Your own simulator, prior, estimator, sampler or embedding needs no entry here: write
``"my_module:MySimulator"`` in the configuration, with ``my_module.py`` in the folder you call
``snakemake`` from (or installed).

A version says which results a part makes: raise it when they change, and whatever was made with it
is made again. `tests/versions.lock` holds what each version covers; a test asks for a decision when
that changes.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Part:
    """Something of this package that has a name in the configuration or in the workflow.

    Attributes:
        target: Where it lives, ``"module:attribute"``.
        version: Of the results it makes.
        repeatable: Whether a stage makes the same again, so that what was made of it stays.
    """

    target: str
    version: int = 1
    repeatable: bool = False


Table = Mapping[str, Part]

SIMULATORS = {
    "influenza": Part("sbi_pipeline.simulators.influenza:Influenza"),
    "linear_gaussian": Part("sbi_pipeline.simulators.linear_gaussian:LinearGaussian"),
    "moon_point": Part("sbi_pipeline.simulators.moons:MoonPoint"),
    "moons": Part("sbi_pipeline.simulators.moons:Moons"),
    "polynomial": Part("sbi_pipeline.simulators.polynomial:Polynomial"),
    "program": Part("sbi_pipeline.simulators.program:Program"),
    "ringdown": Part("sbi_pipeline.simulators.ringdown:Ringdown"),
    "source_counts": Part("sbi_pipeline.simulators.source_counts:SourceCounts"),
    "two_moons": Part("sbi_pipeline.simulators.two_moons:TwoMoons"),
}

ESTIMATORS = {
    "auto": Part("sbi_pipeline.portfolio:Portfolio", version=2),
    "npe": Part("sbi_pipeline.estimators.npe:NPE", version=2),
    "nle": Part("sbi_pipeline.estimators.nle:NLE", version=3),
    "nre": Part("sbi_pipeline.estimators.nre:NRE", version=2),
    "mnre": Part("sbi_pipeline.estimators.mnre:MNRE", version=2),
    "fmpe": Part("sbi_pipeline.estimators.fmpe:FMPE", version=3),
    "cmpe": Part("sbi_pipeline.estimators.cmpe:CMPE", version=3),
}


BUILT_OF_NETWORKS = ("npe", "nle", "nre", "mnre", "fmpe", "cmpe")
"""Methods whose versions cover `sbi_pipeline.networks`: they count for a class built of these."""

SAMPLERS: Table = {
    "direct": Part("sbi_pipeline.samplers.direct:Direct"),
    "emcee": Part("sbi_pipeline.samplers.ensemble:Emcee", version=3),
}

EMBEDDINGS = {
    "none": Part("sbi_pipeline.networks.embeddings:Flat"),
    "mlp": Part("sbi_pipeline.networks.embeddings:MLP"),
    "cnn1d": Part("sbi_pipeline.networks.embeddings:CNN1D"),
    "cnn2d": Part("sbi_pipeline.networks.embeddings:CNN2D"),
    "deep_set": Part("sbi_pipeline.networks.sets:DeepSet"),
    "point_cloud": Part("sbi_pipeline.networks.sets:PointCloud"),
    "set_transformer": Part("sbi_pipeline.networks.sets:SetTransformer"),
}

AUTOMATIC_EMBEDDINGS = ("none", "mlp", "cnn2d")
"""Embeddings that ``embedding: auto`` chooses from."""

OF_MODELS = (
    "model_classifier",
    "model_evidence",
    "model_agreement",
    "model_neighbours",
    "model_likeness",
)
"""Diagnostics of comparisons of models; all others are of campaigns."""
# In the order in which they are asked and shown.
DIAGNOSTICS: Table = {
    "failures": Part("sbi_pipeline.diagnostics.failures:FAILURES", version=2),
    "lost_prior": Part("sbi_pipeline.diagnostics.lost_prior:LOST_PRIOR"),
    "rows": Part("sbi_pipeline.diagnostics.rows:ROWS"),
    "weights": Part("sbi_pipeline.diagnostics.weights:WEIGHTS"),
    "missing_elements": Part("sbi_pipeline.diagnostics.missing_elements:MISSING_ELEMENTS"),
    "training": Part("sbi_pipeline.diagnostics.training:TRAINING", version=3),
    "screening": Part("sbi_pipeline.diagnostics.screening:SCREENING"),
    "modelled_failures": Part("sbi_pipeline.diagnostics.modelled_failures:MODELLED_FAILURES"),
    "held_out_chains": Part("sbi_pipeline.diagnostics.held_out_chains:HELD_OUT_CHAINS"),
    "held_out_weights": Part(
        "sbi_pipeline.diagnostics.held_out_weights:HELD_OUT_WEIGHTS", version=2
    ),
    "held_out_simulations": Part(
        "sbi_pipeline.diagnostics.held_out_simulations:HELD_OUT_SIMULATIONS"
    ),
    "calibration": Part("sbi_pipeline.diagnostics.calibration:CALIBRATION"),
    "probability_plot": Part("sbi_pipeline.diagnostics.probability_plot:PROBABILITY_PLOT"),
    "coverage": Part("sbi_pipeline.diagnostics.coverage:COVERAGE", version=2),
    "tarp": Part("sbi_pipeline.diagnostics.tarp:TARP"),
    "information": Part("sbi_pipeline.diagnostics.information:INFORMATION", version=4),
    "lost_information": Part(
        "sbi_pipeline.diagnostics.lost_information:LOST_INFORMATION", version=2
    ),
    "parameter_order": Part("sbi_pipeline.diagnostics.parameter_order:PARAMETER_ORDER"),
    "nuisances": Part("sbi_pipeline.diagnostics.nuisances:NUISANCES"),
    "rounds": Part("sbi_pipeline.diagnostics.rounds:ROUNDS"),
    "local_calibration": Part(
        "sbi_pipeline.diagnostics.local_calibration:LOCAL_CALIBRATION", version=4
    ),
    "posterior_sbc": Part("sbi_pipeline.diagnostics.posterior_sbc:POSTERIOR_SBC"),
    "sampling": Part("sbi_pipeline.diagnostics.sampling:SAMPLING", version=3),
    "refinement": Part("sbi_pipeline.diagnostics.refinement:REFINEMENT", version=3),
    "prior_edge": Part("sbi_pipeline.diagnostics.prior_edge:PRIOR_EDGE"),
    "predictive": Part("sbi_pipeline.diagnostics.predictive:PREDICTIVE", version=5),
    "agreement": Part("sbi_pipeline.diagnostics.agreement:AGREEMENT"),
    "joint_agreement": Part("sbi_pipeline.diagnostics.joint_agreement:JOINT_AGREEMENT", version=3),
    "in_distribution": Part("sbi_pipeline.diagnostics.in_distribution:IN_DISTRIBUTION", version=3),
    "data_path": Part("sbi_pipeline.diagnostics.data_path:DATA_PATH"),
    "selection": Part("sbi_pipeline.diagnostics.selection:SELECTION"),
    "accumulation": Part("sbi_pipeline.diagnostics.accumulation:ACCUMULATION", version=3),
    "model_classifier": Part("sbi_pipeline.diagnostics.model_classifier:MODEL_CLASSIFIER"),
    "model_evidence": Part("sbi_pipeline.diagnostics.model_evidence:MODEL_EVIDENCE"),
    "model_agreement": Part("sbi_pipeline.diagnostics.model_agreement:MODEL_AGREEMENT"),
    "model_neighbours": Part("sbi_pipeline.diagnostics.model_neighbours:MODEL_NEIGHBOURS"),
    "model_likeness": Part("sbi_pipeline.diagnostics.model_likeness:MODEL_LIKENESS"),
    "objects_sampled": Part("sbi_pipeline.diagnostics.object_sampling:OBJECTS_SAMPLED"),
    "objects_in_distribution": Part(
        "sbi_pipeline.diagnostics.object_p_values:OBJECTS_IN_DISTRIBUTION"
    ),
    "objects_predicted": Part("sbi_pipeline.diagnostics.object_p_values:OBJECTS_PREDICTED"),
    "objects_truths": Part("sbi_pipeline.diagnostics.object_truths:OBJECTS_TRUTHS"),
    "objects_agreement": Part("sbi_pipeline.diagnostics.object_agreement:OBJECTS_AGREEMENT"),
}

# A stage lives in the module of `sbi_pipeline.stages` that it is said to; so does its rule.
STAGES = {
    "build": Part("sbi_pipeline.stages.programs:build", repeatable=True),
    "preflight": Part("sbi_pipeline.stages.simulations:preflight"),
    "sample_prior": Part("sbi_pipeline.stages.simulations:sample_prior", repeatable=True),
    "simulate": Part("sbi_pipeline.stages.simulations:simulate", version=2, repeatable=True),
    "import_rows": Part("sbi_pipeline.stages.existing:import_rows", repeatable=True),
    "manifest": Part("sbi_pipeline.stages.manifests:manifest", repeatable=True),
    "observe": Part("sbi_pipeline.stages.observations:observe"),
    "train": Part("sbi_pipeline.stages.estimators:train"),
    "calibrate": Part("sbi_pipeline.stages.calibration:calibrate", version=5),
    "calibrate_refined": Part("sbi_pipeline.stages.refined_calibrations:calibrate_refined"),
    "recalibrate": Part("sbi_pipeline.stages.refined_calibrations:recalibrate"),
    "truncate": Part("sbi_pipeline.stages.rounds:truncate", version=2),
    "learn_nuisances": Part("sbi_pipeline.stages.nuisances:learn_nuisances"),
    "sample": Part("sbi_pipeline.stages.posteriors:sample"),
    "refine": Part("sbi_pipeline.stages.refinement:refine", version=3),
    "collect": Part("sbi_pipeline.stages.catalogues:collect", repeatable=True),
    "infer": Part("sbi_pipeline.stages.inference:infer", version=4),
    "tabulate": Part("sbi_pipeline.stages.catalogues:tabulate", version=2),
    "diagnose": Part("sbi_pipeline.stages.predictions:diagnose", version=4),
    "posterior_sbc": Part("sbi_pipeline.stages.posterior_ranks:posterior_sbc"),
    "report": Part("sbi_pipeline.stages.page:report", version=11),
    "classify": Part("sbi_pipeline.stages.classification:classify"),
    "weigh_models": Part("sbi_pipeline.stages.evidences:weigh_models"),
    "compare_models": Part("sbi_pipeline.stages.comparisons:compare_models", version=2),
    "compare": Part("sbi_pipeline.stages.overview:compare", version=2),
    "index": Part("sbi_pipeline.stages.overview:index", version=3),
    "judge": Part("sbi_pipeline.stages.overview:judge"),
}


TABLES: Mapping[str, Table] = {
    "simulator": SIMULATORS,
    "estimator": ESTIMATORS,
    "sampler": SAMPLERS,
    "embedding": EMBEDDINGS,
    "diagnostic": DIAGNOSTICS,
    "stage": STAGES,
}
"""All tables, by what is in them."""


def locate(name: str, table: Table) -> str:
    """Return ``"module:attribute"`` for a name of ``table`` or a path of that form.

    Raises:
        ValueError: The name is neither.
    """
    if not isinstance(name, str):
        raise ValueError(f"got {name!r}; wanted one of {', '.join(sorted(table))}")
    if name in table:
        return table[name].target
    if name.count(":") == 1 and all(part for part in name.split(":")):
        return name
    known = ", ".join(sorted(table))
    raise ValueError(f"{name!r} is not known; write one of {known}, or 'my_module:MyClass'")


def part(name: str, table: Table) -> Part | None:
    """Return the part of this package that a name stands for; None for one of the user's own."""
    return table.get(name) or next((each for each in table.values() if each.target == name), None)


def pick(name: str, table: Mapping[str, Entry], what: str) -> Entry:
    """Return an entry of a table that is not open to names of the user's own.

    Raises:
        ValueError: The name is not in it.
    """
    if name not in table:
        raise ValueError(f"{what} is {name!r}; it can be {', '.join(table)}")
    return table[name]


def load_part(name: str, table: Table) -> Any:
    """Import what a name stands for.

    Raises:
        ValueError: The module cannot be found or imported, or lacks the attribute.
    """
    module_name, attribute = locate(name, table).split(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ValueError(
            f"{name!r}: importing {module_name!r} failed with {type(error).__name__}: {error}; "
            f"looked in {here} and the installed packages"
        ) from error
    if not hasattr(module, attribute):
        alike = difflib.get_close_matches(attribute, vars(module), n=1)
        asked = f"; did you mean {alike[0]!r}?" if alike else ""
        raise ValueError(f"{name!r}: {module.__file__} has no {attribute!r}{asked}")
    return getattr(module, attribute)
