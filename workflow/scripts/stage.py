"""The one adapter: calls the stage that is named like the rule, see `sbi_pipeline.stages.job`.

Inputs and outputs are passed as paths under their keywords; ``params.spec``, the specification of
the result, and other params as arguments. With the resource ``staged``, simulations are read from a
copy in the job's ``tmpdir``.
"""

import os
from pathlib import Path

if snakemake.rule.endswith(  # noqa: F821
    ("simulate", "import_rows", "diagnose", "posterior_sbc", "report")
):
    # Their threads are processes of one thread each; Snakemake has set these to their number.
    for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR"):
        os.environ[f"{library}_NUM_THREADS"] = "1"

from sbi_pipeline import signals  # threads are fixed when numpy is imported


def paths(named):
    """Return inputs or outputs by keyword, as paths or lists of paths."""
    return {
        key: Path(value) if isinstance(value, str) else [Path(each) for each in value]
        for key, value in named.items()
    }


inputs = paths(snakemake.input)  # noqa: F821
for each in ("changed", "made"):  # they say that a job runs, not with what
    inputs.pop(each, None)


with signals.told(snakemake.rule):  # noqa: F821
    from sbi_pipeline.stages import job  # it takes seconds in which a signal may come

    job.run_stage(
        snakemake.rule,  # noqa: F821
        inputs=inputs,
        outputs=paths(snakemake.output),  # noqa: F821
        params=dict(snakemake.params.items()),  # noqa: F821
        threads=int(snakemake.threads),  # noqa: F821
        log=Path(snakemake.log[0]),  # noqa: F821
        near=Path(snakemake.resources.tmpdir) if snakemake.resources.get("staged") else None,  # noqa: F821
    )
