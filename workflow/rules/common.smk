# The configuration, checked, and the plan made of it: what is made with which specification. No
# rules here; what their jobs read and are told they ask JOBS.
import sys
import time
from pathlib import Path

from sbi_pipeline import signals
from sbi_pipeline.startup import uncollected

with uncollected():
    from sbi_pipeline import study

if workflow.is_main_process:
    signals.once()

# Files are read here, with their lines, instead of by `configfile:`; those of --configfile take the
# place of the one that lies here. A module of another Snakefile has what that one gives.
CHECK = workflow.is_main_process
try:
    with uncollected():
        PLAN = study.Plan(
            study.load_configuration(
                workflow.configfiles or study.default_files(),
                workflow.config_settings.config,
                CHECK,
            )
            if workflow.modifier.is_main_snakefile()
            else study.take_configuration(config, CHECK)
        )
        JOBS = study.Jobs(PLAN.current())
except ValueError as error:
    sys.exit(f"{error}")

# Keys decide what is made anew, time stamps do not. The inputs of a result that was made as planned
# are ancient; those of any other are as they are, and CHANGED, newer than all results, is one more.
CHANGED = Path(".snakemake/sbi_pipeline/changed")
if workflow.is_main_process:
    CHANGED.parent.mkdir(parents=True, exist_ok=True)
    CHANGED.write_text(f"{time.time_ns()}\n")


def given(specification, **files):
    """All inputs of a rule: patterns or input functions by keyword, see above."""

    def inputs(wildcards):
        values = dict(wildcards.items())
        path = specification.format(**values)
        waits_for = JOBS.waits_for(path)
        if waits_for:  # Snakemake asks again when the box is there
            checkpoints.truncate.get(campaign=waits_for)
            raise ValueError(f"the box of {waits_for} is there, and not as planned")
        made = JOBS.plan.is_made(path)
        as_they_are = workflow.is_main_process and not made
        named = {
            keyword: file.format(**values) if isinstance(file, str) else file(wildcards)
            for keyword, file in {"changed": str(CHANGED), **files}.items()
        }
        return (
            named
            if as_they_are
            else {key: ancient(each) for key, each in named.items()}
        )

    return unpack(inputs)


wildcard_constraints:
    **PLAN.patterns,
