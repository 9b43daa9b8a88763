# Simulators that are programs: NAME.c, in the folder of the study or in config/programs, becomes
# results/programs/NAME. Programs that are built in another way are made by rules of your own, or are simply there; a campaign names
# them under `requires`.
rule build:
    input:
        source=JOBS.source_of_program,
    output:
        program="results/programs/{program}",
    log:
        "results/programs/{program}.log",
    localrule: True
    script:
        "../scripts/stage.py"
