"""The one adapter: calls the function of sbi_pipeline.stages that is named like the rule.

Input files named ``spec`` or ``shard`` hold arguments as JSON; other inputs and outputs are passed
as paths under their keywords. Of params, resources and threads a stage gets those it asks for.
With the resource ``staged``, simulations are read from a copy in the job's ``tmpdir``.
"""

import inspect
import json
import logging
import os
import sys
from contextlib import ExitStack
from pathlib import Path

threads = int(snakemake.threads)  # noqa: F821
if snakemake.rule.endswith("simulate"):  # noqa: F821
    # Its threads are processes of one thread each; Snakemake has set these to their number.
    for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR"):
        os.environ[f"{library}_NUM_THREADS"] = "1"

from sbi_pipeline import signals  # noqa: E402  (threads are fixed when numpy is imported)


def paths(named):
    """Return inputs or outputs by keyword, as paths or lists of paths."""
    return {
        key: Path(value) if isinstance(value, str) else [Path(each) for each in value]
        for key, value in named.items()
    }


def main(job):
    """Run the stage of one job; a problem is one line here and a traceback in the log."""
    # Imported here, as it takes seconds in which a signal may come.
    from sbi_pipeline import registry  # noqa: PLC0415
    from sbi_pipeline.storage.staging import staged  # noqa: PLC0415

    terminal = logging.StreamHandler()
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        handlers=[logging.FileHandler(job.log[0], mode="w"), terminal],
    )
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a log on a full disk must not hide what went wrong
    for chatty in ("distributed", "arviz", "arviz.preview", "fontTools"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # In a module, rules may have a prefix: `use rule * from sbi as sbi_*`.
    name = max(filter(job.rule.endswith, registry.STAGES), key=len)
    stage = registry.load(name, registry.STAGES)
    wanted = inspect.signature(stage).parameters
    files = {**paths(job.input), **paths(job.output)}
    arguments = {}
    for name in ("spec", "shard"):
        if name in files:
            spec = json.loads(files.pop(name).read_text())
            arguments |= {key: value for key, value in spec.items() if key in wanted}
    knobs = {"threads": threads, **dict(job.params.items()), **dict(job.resources.items())}
    arguments |= {key: value for key, value in knobs.items() if key in wanted}
    try:
        with ExitStack() as stack:
            if job.resources.get("staged") and "simulations" in files:
                near = staged(files["simulations"], Path(job.resources.tmpdir))
                files["simulations"] = stack.enter_context(near)
            stage(**files, **arguments)
    except (ValueError, OSError) as error:  # OSError: no space, no right to write, no such file
        logging.getLogger().removeHandler(terminal)
        logging.exception("%s failed", stage.__name__)
        sys.exit(f"{stage.__name__}: {error} (more in {job.log[0]})")


with signals.told(snakemake.rule):  # noqa: F821
    main(snakemake)  # noqa: F821
