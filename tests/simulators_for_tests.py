"""Small simulators that behave, and some that do not."""

import os
import signal
import time

import numpy as np


class Noise:
    """Vectorised: the parameters plus noise, ``(n, 2)``."""

    parameters = ("a", "b")

    def __init__(self, dtype="float64"):
        self.dtype = dtype

    def __call__(self, parameters, rng):
        noise = parameters + rng.normal(size=parameters.shape)
        parameters[:] = 0  # a simulator may write into what it is given
        return noise.astype(self.dtype)


class NoiseOneByOne(Noise):
    """One at a time; also draws an odd number of 32-bit integers, which the stream buffers."""

    vectorised = False

    def __call__(self, parameters, rng):
        odd = rng.integers(0, 100, size=3, dtype=np.uint32).sum()
        return np.append(parameters, odd) + rng.normal(size=3)


class Slow(NoiseOneByOne):
    """Takes its time."""

    def __init__(self, seconds=0.01):
        super().__init__()
        self.seconds = seconds

    def __call__(self, parameters, rng):
        time.sleep(self.seconds)
        return super().__call__(parameters, rng)


class SlowTogether(Noise):
    """Takes its time for each of many rows."""

    def __init__(self, seconds=0.01):
        super().__init__()
        self.seconds = seconds

    def __call__(self, parameters, rng):
        time.sleep(self.seconds * len(parameters))
        return super().__call__(parameters, rng)


class Busy(NoiseOneByOne):
    """Takes its time and the processor's."""

    def __init__(self, seconds=0.01):
        super().__init__()
        self.seconds = seconds

    def __call__(self, parameters, rng):
        end = time.perf_counter() + self.seconds
        while time.perf_counter() < end:
            pass
        return super().__call__(parameters, rng)


def misbehave(a):
    """Do what the hundredths of a parameter in [0, 1) say; most do nothing."""
    match int(a * 100):
        case 1:
            raise RuntimeError(f"a is {a:.6f}")
        case 2:
            os.kill(os.getpid(), signal.SIGSEGV)
        case 3:
            time.sleep(3600)
        case 4:
            os._exit(3)


class Moody:
    """One at a time; raises, crashes, hangs, exits, returns NaN or a wrong shape, by ``a``."""

    parameters = ("a", "b")
    vectorised = False

    def __init__(self, seconds=0.0, spare=(), calls=os.devnull):
        self.seconds = seconds
        self.spare = spare
        self.calls = calls  # a file that grows by a byte a call

    def __call__(self, parameters, rng):
        with open(self.calls, "ab") as file:
            file.write(b".")
        time.sleep(self.seconds)
        if int(parameters[0] * 100) not in self.spare:
            misbehave(parameters[0])
        x = parameters + rng.normal(size=2)
        match int(parameters[0] * 100):
            case 5:
                x[1] = np.nan
            case 6:
                x[0] = np.inf
            case 7:
                x = x[:1]
        return x


class MoodyBlocks:
    """Vectorised; one bad row spoils the call for its block."""

    parameters = ("a", "b")

    def __call__(self, parameters, rng):
        for a in parameters[:, 0]:
            misbehave(a)
        x = parameters + rng.normal(size=parameters.shape)
        x[(parameters[:, 0] * 100).astype(int) == 5, 1] = np.nan
        return x


class Chancy:
    """Vectorised; raises where the noise of a row is above a limit that falls with its ``a``."""

    parameters = ("a", "b")

    def __init__(self, limit=2.5):
        self.limit = limit

    def __call__(self, parameters, rng):
        x = rng.normal(size=len(parameters))
        if (x > self.limit - parameters[:, 0]).any():
            raise FloatingPointError("too loud")
        return x


class Shifted:
    """Vectorised; three numbers around the sum of a parameter and a nuisance, if that may be."""

    parameters = ("m", "eta")
    x_shape = (3,)

    def __init__(self, highest=np.inf):
        self.highest = highest

    def __call__(self, parameters, rng):
        x = parameters.sum(axis=1, keepdims=True) + rng.normal(size=(len(parameters), 3))
        x[parameters[:, 0] > self.highest] = np.nan
        return x


class Lonely:
    """Vectorised as it says, but works for single rows alone."""

    parameters = ("a", "b")

    def __call__(self, parameters, rng):
        if len(parameters) > 1:
            raise MemoryError("too many")
        return parameters


class Broken:
    """Fails always, in the way its option says."""

    parameters = ("a", "b")

    def __init__(self, how="raise"):
        self.how = how

    def __call__(self, parameters, rng):
        match self.how:
            case "raise":
                raise RuntimeError("no luck")
            case "not vectorised":
                return np.zeros(5)
            case "text":
                return np.full((len(parameters), 1), "text")
            case "crash":
                os.kill(os.getpid(), signal.SIGKILL)
        return np.full((len(parameters), 1), np.nan)


class Shifty:
    """Its dtype depends on the parameters."""

    parameters = ("a", "b")
    vectorised = False

    def __call__(self, parameters, rng):
        x = rng.poisson(5, size=2)
        return x if parameters[0] < 0.5 else x + 0.5


class Forgetful:
    """Draws from a generator of its own, not from the one it is given."""

    parameters = ("a", "b")

    def __call__(self, parameters, rng):
        return parameters + np.random.default_rng().normal(size=parameters.shape)


class Large:
    """An image of a megabyte."""

    parameters = ("a", "b")
    vectorised = False

    def __call__(self, parameters, rng):
        return np.zeros((1000, 1000), np.uint8)


class Greedy:
    """Takes a gigabyte of memory where ``a`` is large."""

    parameters = ("a", "b")
    vectorised = False

    def __call__(self, parameters, rng):
        if parameters[0] > 0.9:
            np.ones(2**27)
        return parameters


class Hang(Slow):
    """Hangs for ever in the row with a certain ``a``."""

    def __init__(self, seconds, at):
        super().__init__(seconds)
        self.at = at

    def __call__(self, parameters, rng):
        if parameters[0] == self.at:
            time.sleep(3600)
        return super().__call__(parameters, rng)


class Returns:
    """Returns something other than an array from a row on."""

    parameters = ("a", "b")
    vectorised = False

    def __init__(self, what="complex", above=0.0):
        self.what, self.above = what, above

    def __call__(self, parameters, rng):
        x = parameters + rng.normal(size=2)
        if parameters[0] < self.above:
            return x
        if self.what == "masked":
            return np.ma.masked_array(x, [True, False])
        return {"complex": x * 1j, "dict": {"x": x}, "none": None, "infinite": x + np.inf}[
            self.what
        ]


class Leaky:
    """Keeps 160 MB of every call."""

    parameters = ("a", "b")
    vectorised = False

    def __init__(self):
        self.kept = []

    def __call__(self, parameters, rng):
        self.kept.append(np.empty(20_000_000))
        return parameters + rng.normal(size=2)


class Global:
    """Takes its noise from elsewhere than ``rng``."""

    parameters = ("a", "b")
    vectorised = False

    def __call__(self, parameters, rng):
        return parameters + np.random.normal(size=2)  # noqa: NPY002 - what is to be found


class Padded:
    """Sets of few points, in arrays of many."""

    parameters = ("a", "b")
    vectorised = False

    def __call__(self, parameters, rng):
        x = np.full((20, 2), np.nan)
        x[: 5 + rng.poisson(5)] = 1.0
        return x


class Faint:
    """Data in units in which single precision holds little or nothing of them."""

    parameters = ("a", "b")

    def __init__(self, unit=1e-46, offset=0.0):
        self.unit, self.offset = unit, offset

    def __call__(self, parameters, rng):
        return (self.offset + self.unit * (1 + parameters)).astype(np.float32)


class FaintOneByOne(Faint):
    """Likewise, one row at a time."""

    vectorised = False
