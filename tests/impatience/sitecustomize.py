"""For heads and their Snakemake: they look ever less often at jobs, and tests need not wait."""

import sys
import time

if "snakemake" in sys.orig_argv:
    import asyncio

    patient = asyncio.sleep
    asyncio.sleep = lambda delay, result=None: patient(min(delay, 2), result)
if "sbi_pipeline.head" in sys.orig_argv:
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(min(seconds, 2))
