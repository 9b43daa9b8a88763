# From priors to a report one can trust. Name targets, or none for every report:
#   snakemake                       all campaigns of config/config.yaml
#   snakemake --configfile config/studies/NAME.yaml
# A study of your own has a Snakefile like this one: sbi-pipeline init my_study.
include: "workflow/Snakefile"


rule all:
    default_target: True
    input:
        PAGES,
    localrule: True
