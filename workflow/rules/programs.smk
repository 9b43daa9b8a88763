# Simulators that are programs: config/programs/NAME.c becomes results/programs/NAME. Programs that
# are built in another way are made by rules of your own, or are simply there; a campaign names
# them under `requires`.
rule build:
    input:
        source="config/programs/{program}.c",
    output:
        program="results/programs/{program}",
    log:
        "results/programs/{program}.log",
    localrule: True
    script:
        "../scripts/stage.py"
