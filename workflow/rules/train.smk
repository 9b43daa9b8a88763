# Estimators: one training serves all observations.
rule train:
    input:
        given(
            "results/{campaign}/{estimator}/train.spec.json",
            simulations="results/{campaign}/simulations.json",
        ),
    output:
        estimator="results/{campaign}/{estimator}/estimator.pt",
        header="results/{campaign}/{estimator}/estimator.json",
        history="results/{campaign}/{estimator}/history.csv",
        spec="results/{campaign}/{estimator}/train.spec.json",
    log:
        "results/{campaign}/{estimator}/train.log",
    threads: 1
    params:
        spec=JOBS.specification,
        training=JOBS.training,
    script:
        "../scripts/stage.py"


rule calibrate:
    input:
        given(
            "results/{campaign}/{trained}/calibrate.spec.json",
            simulations=JOBS.held_out,
            estimator="results/{campaign}/{trained}/estimator.pt",
            proposals=JOBS.calibration_proposals,
        ),
    output:
        calibration="results/{campaign}/{trained}/calibration.nc",
        spec="results/{campaign}/{trained}/calibrate.spec.json",
    log:
        "results/{campaign}/{trained}/calibrate.log",
    threads: 1
    params:
        spec=JOBS.specification,
    script:
        "../scripts/stage.py"


rule calibrate_refined:
    input:
        given(
            "results/{campaign}/{weighed}/calibrate_refined.spec.json",
            simulations=JOBS.held_out,
            estimator=JOBS.proposal,
            likelihoods=JOBS.likelihoods,
        ),
    output:
        calibration="results/{campaign}/{weighed}/calibration.nc",
        spec="results/{campaign}/{weighed}/calibrate_refined.spec.json",
    log:
        "results/{campaign}/{weighed}/calibrate_refined.log",
    threads: 1
    params:
        spec=JOBS.specification,
    script:
        "../scripts/stage.py"


# How the draws of an estimator are moved, by most of what it says of held-out simulations.
rule recalibrate:
    input:
        given(
            "results/{campaign}/{moved}/recalibrate.spec.json",
            calibrations=JOBS.corrected,
        ),
    output:
        calibration="results/{campaign}/{moved}/calibration.nc",
        spec="results/{campaign}/{moved}/recalibrate.spec.json",
    log:
        "results/{campaign}/{moved}/recalibrate.log",
    threads: 1
    params:
        spec=JOBS.specification,
    script:
        "../scripts/stage.py"


# Nuisances given theta and x, of the same rows, for predictions that follow the data.
rule learn_nuisances:
    input:
        given(
            "results/{campaign}/learn_nuisances.spec.json",
            simulations="results/{campaign}/simulations.json",
        ),
    output:
        nuisances="results/{campaign}/nuisances.pt",
        nuisance_ranks="results/{campaign}/nuisance_ranks.nc",
        spec="results/{campaign}/learn_nuisances.spec.json",
    log:
        "results/{campaign}/learn_nuisances.log",
    threads: 1
    params:
        spec=JOBS.specification,
    script:
        "../scripts/stage.py"
