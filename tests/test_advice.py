"""What a check advises helps against the fault that it found."""

import pytest
import test_mutations as mutations

REPEATS = 20
ADVISED = {
    "posterior sd x 0.5": {
        "calibration": "too narrow; train on more simulations",
        "coverage": "too narrow; train on more simulations",
        "TARP": "too narrow; train on more simulations",
    },
    "posterior sd x 2": {
        "calibration": "too wide; allow more epochs",
        "coverage": "too wide; allow more epochs",
        "TARP": "too wide; allow more epochs",
    },
    "mean shifted by 0.5 sd": {"calibration": "too high; train a larger network"},
    "two parameters swapped": {"parameter order": "order"},
    "one mode lost": {"coverage": "too narrow; train on more simulations"},
    "chain stopped at 20 steps": {"effective draws": "steps", "chain length": "steps"},
    "noise x 1.5 in the observation": {"predictive": "the model lacks something"},
}


# A walker that never moved in 20 steps has no autocorrelation.
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning:emcee")
@pytest.mark.parametrize("name", ADVISED)
def test_the_remedy_is_that_of_the_fault(name):
    make, fault, _ = mutations.FAULTS[name]
    right = dict.fromkeys(ADVISED[name], 0)
    for seed in range(REPEATS):
        for check in make(seed, **fault):
            if check.name in right and check.status != "pass":
                right[check.name] += ADVISED[name][check.name] in check.advice
    assert all(count >= 0.9 * REPEATS for count in right.values()), right
