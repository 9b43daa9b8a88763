"""Plain functions as simulators, and what is called like one."""

import functools
import os
import signal

import numpy as np


def number(parameters, rng):
    """Take a row and return a number."""
    return float(parameters[0] ** 2 + 0.1 * rng.normal())


def unpacked(parameters, rng, noise=0.1):
    """Take a row and return three numbers."""
    a, b = parameters
    return np.array([a, b, noise * rng.normal()])


def shared_noise(parameters, rng):
    """Take a row; of many, all would get the same noise."""
    return parameters + rng.normal(size=2)


def columns(parameters, rng, noise=0.1):
    """Take many rows and return a number for each."""
    return parameters[:, 0] + noise * rng.normal(size=len(parameters))


def images(parameters, rng):
    """Take many rows and return an image for each."""
    return parameters[:, 0, None, None] + rng.normal(size=(len(parameters), 3, 4))


def says_many(parameters, rng):
    """Would work with a row, too."""
    return parameters + rng.normal(size=parameters.shape)


says_many.vectorised = True


def rare(parameters, rng):
    """Take a row; work where ``a`` is small."""
    if parameters[0] > 0.2:
        os.kill(os.getpid(), signal.SIGKILL)
    return parameters[:1]


def unclear(parameters, rng):
    """Work with both, in other shapes."""
    a, b = parameters.T
    return a + b * rng.normal(size=len(parameters))


def broken(parameters, rng):
    """Work with neither."""
    raise RuntimeError("no luck")


def without_rng(parameters):
    """Take no random numbers."""
    return parameters


row_lambda = lambda parameters, rng: [parameters[0], rng.normal()]  # noqa: E731
loud_columns = functools.partial(columns, noise=3)
not_callable = 3


class Nameless:
    """Called like a function, and names no parameters."""

    def __call__(self, parameters, rng, noise=0.1):
        return unpacked(parameters, rng, noise)


class Named(Nameless):
    """A simulator as the protocol has it."""

    parameters = ("a", "b")
    vectorised = False


nameless = Nameless()
named = Named()
