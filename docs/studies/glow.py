"""Make the maps ``config/data/source_counts_glow_*.npz``: sources, and a glow nobody models."""

from pathlib import Path

import numpy as np
import yaml

from sbi_pipeline import observations
from sbi_pipeline.campaigns.given_rows import Engine
from sbi_pipeline.model import Model
from sbi_pipeline.simulators.source_counts import SourceCounts

CONFIG = Path(__file__).parents[2] / "config"
TRUTH = {"number": 147.6, "sigma": 1.52, "height": 16.4}
GLOW = 0.1  # of exposure 100: ten photons a pixel

if __name__ == "__main__":
    study = yaml.safe_load((CONFIG / "studies/source_counts.yaml").read_text())
    specs = study["campaigns"]["source_counts"]["priors"]
    for pixels in (64, 128):
        options = {"pixels": pixels, "background": GLOW, "noise": False, "mirror": True}
        model = Model("source_counts", options, SourceCounts(**options).parameters, specs)
        with Engine(model, "observe/simulate") as engine:
            x, _ = observations.simulate_observation(engine, model.build_prior(), TRUTH, 1)
        np.savez_compressed(CONFIG / f"data/source_counts_glow_{pixels}.npz", x=x)
