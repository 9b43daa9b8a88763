"""The task files inside the wheel of sbibm 1.1, ``pip install --no-deps sbibm``.

Nothing of it is imported, for it wants versions of torch and pyro of its own.
"""

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch

# Folder of a task's files, what its simulator calls its data there, and its constants.
ELSEWHERE = {"slcp_distractors": "slcp", "bernoulli_glm_raw": "bernoulli_glm"}
SUFFIX = {"slcp_distractors": "_distractors", "bernoulli_glm_raw": "_raw"}
PYRO = (
    "pyro.distributions.torch.MixtureSameFamily",
    "pyro.distributions.torch.Categorical",
    "pyro.distributions.torch.Independent",
    "pyro.distributions.torch.Chi2",
    "pyro.distributions.multivariate_studentt.MultivariateStudentT",
)


class Stub:
    """Stands for a class of pyro: it keeps the attributes that were saved."""


def read(task):
    """Return observations, reference draws and constants of a task, or None without the wheel."""
    spec = find_spec("sbibm")
    if spec is None:
        return None
    tasks = Path(spec.submodule_search_locations[0]) / "tasks"
    files = tasks / ELSEWHERE.get(task, task) / "files"
    numbers = sorted(int(re.sub(r"\D", "", path.name)) for path in files.glob("num_observation_*"))
    folders = [files / f"num_observation_{number}" for number in numbers]
    observed = f"observation{SUFFIX.get(task, '')}.csv"
    found = {
        "observation_numbers": np.array(numbers),
        "observations": np.concatenate([table(folder / observed) for folder in folders]),
        "reference_samples": np.stack(
            [table(folder / "reference_posterior_samples.csv.bz2") for folder in folders]
        ),
    }
    if task.startswith("bernoulli_glm"):
        found["design_matrix"] = torch.load(files / "design_matrix.pt", weights_only=True).numpy()
    if task == "slcp_distractors":
        found |= distractors(files)
    return found


def table(path):
    return pd.read_csv(path).to_numpy()


def distractors(files):
    """Return how slcp's distractors are drawn: a mixture of t distributions, then a permutation."""
    stubs = [(type(name.rpartition(".")[2], (Stub,), {}), name) for name in PYRO]
    with torch.serialization.safe_globals(stubs):
        mixture = torch.load(files / "gmm.torch", weights_only=True)
    student = mixture._component_distribution.base_dist
    return {
        "permutation_idx": torch.load(files / "permutation_idx.torch", weights_only=True).numpy(),
        "distractor_loc": student.loc.numpy(),
        "distractor_scale_tril": student._unbroadcasted_scale_tril.numpy(),
    }
