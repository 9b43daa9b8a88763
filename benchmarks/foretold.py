"""What weights with a heavy tail show of their efficiency, what is foretold, and what comes.

``python benchmarks/foretold.py [REPEATS]``

Weights fall by a power whose shape is known. Medians of 100 repeats by default.
"""

import sys

import numpy as np

from sbi_pipeline.importance import MORE, weigh

DRAWS = 10_000


def efficiency(weights):
    """Return Kish's effective number of draws, as a fraction of all."""
    return weights.sum() ** 2 / (weights**2).sum() / len(weights)


def main(repeats):
    """Print a row for each shape."""
    rng = np.random.default_rng(7)
    heads = ("shape", f"{DRAWS} draws show", f"foretold of {MORE * DRAWS}", "there are")
    print(f"| {' | '.join(heads)} |\n|---|---|---|---|")
    for shape in (0.4, 0.6, 0.7):
        found = [weigh(-shape * np.log(rng.random(DRAWS)), rng, subsets=0) for _ in range(repeats)]
        told = [
            np.median([each.effective / DRAWS for each in found]),
            np.median([each.efficiency_of_more for each in found]),
            np.median([efficiency(rng.random(MORE * DRAWS) ** -shape) for _ in range(repeats)]),
        ]
        print(f"| {shape} | {' | '.join(f'{each:.2g}' for each in told)} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
