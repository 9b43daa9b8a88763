# Posteriors: draws for each observation, and what can be said of them.
rule sample:
    input:
        spec="results/{campaign}/{estimator}/{observation}/sample.spec.json",
        estimator="results/{campaign}/{estimator}/estimator.pt",
        observation="results/{campaign}/observations/{observation}.nc",
        proposals=proposal_of,
    output:
        posterior="results/{campaign}/{estimator}/{observation}/posterior.nc",
    log:
        "results/{campaign}/{estimator}/{observation}/sample.log",
    threads: 1
    script:
        "../scripts/stage.py"


rule diagnose:
    input:
        programs_of,
        spec="results/{campaign}/{estimator}/{observation}/diagnose.spec.json",
        posterior="results/{campaign}/{estimator}/{observation}/posterior.nc",
        observation="results/{campaign}/observations/{observation}.nc",
    output:
        diagnostics="results/{campaign}/{estimator}/{observation}/diagnostics.csv",
        predictive="results/{campaign}/{estimator}/{observation}/predictive.nc",
    log:
        "results/{campaign}/{estimator}/{observation}/diagnose.log",
    threads: 1
    script:
        "../scripts/stage.py"
