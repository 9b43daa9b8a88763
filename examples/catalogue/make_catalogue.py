"""Write ``bursts.csv``: 200 bursts with their true parameters, drawn from the priors.

Two of them, with a D in their name, have a second pulse, which the model does not know of.
"""

import numpy as np
from bursts import Bursts

N, DOUBLE = 200, 2


def draw(rng):
    """Return names, true parameters, ``(200, 5)``, and counts, ``(200, 40)``."""
    theta = np.column_stack(
        [
            np.exp(rng.uniform(np.log(10), np.log(100), N)),
            rng.uniform(5, 20, N),
            np.exp(rng.uniform(np.log(0.3), np.log(3), N)),
            np.exp(rng.uniform(np.log(1), np.log(15), N)),
            rng.gamma(4, 2.5, N),
        ]
    )
    model = Bursts()
    mean = model(theta, rng)
    which = np.sort(rng.choice(np.flatnonzero(theta[:, 0] > 60), DOUBLE, replace=False))
    again = theta[which] * [1, 1, 1, 1, 0]
    again[:, 1] += rng.uniform(10, 15, DOUBLE)
    mean[which] += model(again, rng)
    names = [f"GRB{number:03d}{'D' if number in which else ''}" for number in range(N)]
    return names, theta, model.observe(mean, rng)


def main():
    """Write the catalogue."""
    head = ["name", *(f"true_{each}" for each in Bursts.parameters[:4])]
    head += [f"c{second}" for second in range(40)]
    with open("bursts.csv", "w") as table:
        table.write(",".join(head) + "\n")
        for name, truth, counts in zip(*draw(np.random.default_rng(1996)), strict=True):
            cells = [name, *(f"{each:.6g}" for each in truth[:4]), *map(str, counts)]
            table.write(",".join(cells) + "\n")


if __name__ == "__main__":
    main()
