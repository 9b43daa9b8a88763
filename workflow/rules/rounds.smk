# Rounds: the box of the prior in which the next round simulates. How many rounds there are is known
# when a box hardly shrinks any more: jobs of later ones wait for it, see `given`.
checkpoint truncate:
    input:
        given(
            "results/{campaign}/truncate.spec.json",
            simulations=JOBS.before("results/{campaign}/simulations.json"),
            header=JOBS.before("results/{campaign}/{estimator}/estimator.json"),
            calibration=JOBS.before("results/{campaign}/{estimator}/calibration.nc"),
            observation=JOBS.before(
                "results/{campaign}/observations/{observation}.nc"
            ),
            posterior=JOBS.before(
                "results/{campaign}/{estimator}/{observation}/posterior.nc"
            ),
            before=JOBS.box_before,
        ),
    output:
        box="results/{campaign}/box.json",
        spec="results/{campaign}/truncate.spec.json",
    log:
        "results/{campaign}/truncate.log",
    localrule: True
    params:
        spec=JOBS.specification,
    script:
        "../scripts/stage.py"
