# The configuration, checked, and the plan made of it: what is made with which specification. No
# rules here; everything else that rules want to know they ask PLAN.
import sys
import time
from pathlib import Path

import yaml

from snakemake.utils import update_config

from sbi_pipeline import study
from sbi_pipeline.study import configuration, sweeps

# A study may say what is smaller in a quick run of it: snakemake --config quick=true
smaller = config.pop("if_quick", {})
if config.pop("quick", False):
    update_config(config, smaller)

try:
    schema = Path(workflow.source_path("../schemas/config.schema.yaml"))
    if workflow.is_main_process:
        configuration.check(config, yaml.safe_load(schema.read_text()))
        sweeps.check_sweeps(config)
    PLAN = study.Plan(sweeps.expanded(config))
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
        made = PLAN.is_made(specification.format(**values))
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
