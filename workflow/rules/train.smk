# Estimators: one training serves all observations.
rule train:
    input:
        spec="results/{campaign}/{estimator}/train.spec.json",
        simulations="results/{campaign}/simulations.json",
    output:
        estimator="results/{campaign}/{estimator}/estimator.pt",
        history="results/{campaign}/{estimator}/history.csv",
    log:
        "results/{campaign}/{estimator}/train.log",
    threads: 1
    script:
        "../scripts/stage.py"


rule calibrate:
    input:
        spec="results/{campaign}/{estimator}/calibrate.spec.json",
        simulations=lambda w: f"results/{PLAN.held_out[w.campaign]}/simulations.json",
        estimator="results/{campaign}/{estimator}/estimator.pt",
    output:
        calibration="results/{campaign}/{estimator}/calibration.nc",
    log:
        "results/{campaign}/{estimator}/calibrate.log",
    threads: 1
    script:
        "../scripts/stage.py"
