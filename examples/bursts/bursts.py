"""A catalogue of gamma-ray bursts: pulses that rise fast and decay exponentially.

In bins of a second, t after the trigger, the counts are Poisson with mean

    background + peak * exp(-|t - t_peak| / tau),    tau = rise before t_peak, decay after it

(Norris et al., Attributes of pulses in long bright gamma-ray bursts, ApJ 459, 1996).

``python bursts.py`` writes ``bursts.csv``: 1 000 bursts with their true parameters. Ten of them,
with a D in their name, have a second pulse, which the model does not know of.
"""

import numpy as np

TIME = np.arange(40.0)


class Bursts:
    """Counts, ``(n, 40)``, for peak, t_peak, rise, decay and background, ``(n, 5)``."""

    parameters = ("peak", "t_peak", "rise", "decay", "background")
    x_shape = (40,)

    def __call__(self, parameters, rng):
        """Simulate counts; all randomness comes from ``rng``."""
        return rng.poisson(mean_counts(parameters))


def mean_counts(parameters):
    """Return the mean counts, ``(n, 40)``."""
    peak, t_peak, rise, decay, background = parameters.T[..., None]
    tau = np.where(t_peak > TIME, rise, decay)
    return background + peak * np.exp(-np.abs(TIME - t_peak) / tau)


def main():
    """Write the catalogue."""
    rng = np.random.default_rng(1996)
    n, double = 1000, 10
    theta = np.column_stack(
        [
            np.exp(rng.uniform(np.log(10), np.log(300), n)),
            rng.uniform(5, 20, n),
            np.exp(rng.uniform(np.log(0.3), np.log(3), n)),
            np.exp(rng.uniform(np.log(1), np.log(15), n)),
            rng.gamma(4, 2.5, n),
        ]
    )
    mean = mean_counts(theta)
    which = np.sort(rng.choice(np.flatnonzero(theta[:, 0] > 60), double, replace=False))
    again = theta[which] * [0.6, 1, 1, 1, 0]
    again[:, 1] += rng.uniform(10, 15, double)
    mean[which] += mean_counts(again)
    counts = rng.poisson(mean)
    head = [
        "name",
        *(f"true_{each}" for each in Bursts.parameters[:4]),
        *(f"c{i}" for i in range(40)),
    ]
    with open("bursts.csv", "w") as table:
        table.write(",".join(head) + "\n")
        for number in range(n):
            name = f"GRB{number:04d}{'D' if number in which else ''}"
            values = [*(f"{each:.6g}" for each in theta[number, :4]), *map(str, counts[number])]
            table.write(",".join([name, *values]) + "\n")


if __name__ == "__main__":
    main()
