"""Simulators whose cost is known."""

import time

PARAMETERS = tuple(f"p{index}" for index in range(10))


class Cheap:
    """Ten floats plus noise, a thousand rows at a time."""

    parameters = PARAMETERS

    def __call__(self, parameters, rng):
        return parameters + rng.normal(size=parameters.shape)


class Sleepy:
    """Ten floats plus noise, a row at a time, after a rest."""

    parameters = PARAMETERS
    vectorised = False

    def __init__(self, seconds):
        self.seconds = seconds

    def __call__(self, parameters, rng):
        time.sleep(self.seconds)
        return parameters + rng.normal(size=parameters.shape)
