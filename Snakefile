# From priors to a report one can trust. Name targets, or none for every report:
#   snakemake                       all campaigns of config/config.yaml
#   snakemake --configfile config/studies/NAME.yaml
# What each rule does stands in the function of the same name in sbi_pipeline/stages/.
from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/common.smk"
include: "workflow/rules/programs.smk"
include: "workflow/rules/simulate.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/rounds.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        "results/index.html",
        JOBS.of_reported("results/{campaign}/report.html"),
        "results/accepted.json" if PLAN.strict else [],
    localrule: True


onstart:
    for note in JOBS.notes():
        print(note, file=sys.stderr)


onsuccess:
    print(*JOBS.verdicts(), sep="\n", file=sys.stderr)
