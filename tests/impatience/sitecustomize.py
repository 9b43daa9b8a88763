"""For Snakemake: its Slurm executor looks ever less often at jobs, and tests need not wait."""

import sys

if "snakemake" in sys.orig_argv:
    import asyncio

    patient = asyncio.sleep
    asyncio.sleep = lambda delay, result=None: patient(min(delay, 2), result)
