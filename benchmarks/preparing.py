"""Time and memory of preparing a training: ``python benchmarks/preparing.py [--method npe]``.

Builds an estimator for 20 000 data sets of 2 048 samples and for 5 000 of 16 384, the sine and
noise of three parameters and a vector all of whose columns are noise but for one, and for half and
twice as many of each. Peak memory is over that of the data themselves, in a process of its own.
"""

import argparse
import resource
import subprocess
import sys
import time

import torch

SIZES = [(10_000, 2_048), (20_000, 2_048), (20_000, 4_096), (5_000, 8_192), (5_000, 16_384)]


def sine(n, length):
    """Return z and a sine of amplitude, frequency and phase with noise of unit variance."""
    draws = torch.Generator().manual_seed(1)
    z = torch.randn(n, 3, generator=draws)
    amplitude, cycles, phase = 1 + 0.1 * z[:, :1], 3 + 0.2 * z[:, 1:2], 0.3 * z[:, 2:]
    times = torch.linspace(0, 1, length)
    x = torch.randn(n, length, generator=draws)
    for part in torch.arange(n).split(1000):  # so that no more than the data is ever held
        angle = 2 * torch.pi * cycles[part] * times + phase[part]
        x[part] += amplitude[part] * angle.sin()
    return z, x


def noise(n, length):
    """Return z and noise, but for a first column that tells of z."""
    draws = torch.Generator().manual_seed(1)
    z, x = torch.randn(n, 1, generator=draws), torch.randn(n, length, generator=draws)
    x[:, :1] += z
    return z, x


def measure(kind, n, length, method):
    """Print what building takes, in this process."""
    from sbi_pipeline import estimators

    torch.set_num_threads(1)
    z, x = {"sine": sine, "noise": noise}[kind](n, length)
    estimators.build(method, *noise(100, 3), seed=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, cpu = time.monotonic(), time.process_time()
    network = estimators.build(method, z, x, seed=1).spec["network"]
    wall, cpu = time.monotonic() - began, time.process_time() - cpu
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    seen = len(network.get("columns") or range(length))
    print(
        f"| {kind} | {n:,} | {length:,} | {wall:.1f} | {cpu:.1f} | {more:,.0f} | {seen:,} | "
        f"{network.get('summaries')} |",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="npe")
    parser.add_argument("--one", nargs=3, metavar=("KIND", "ROWS", "LENGTH"))
    given = parser.parse_args()
    if given.one:
        kind, n, length = given.one
        measure(kind, int(n), int(length), given.method)
        return
    print("| data | rows | columns | wall, s | CPU, s | MB over the data | kept | summaries |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for kind in ("sine", "noise"):
        for size in SIZES:
            command = [sys.executable, __file__, "--method", given.method, "--one", kind]
            subprocess.run([*command, *map(str, size)], check=True)


if __name__ == "__main__":
    main()
