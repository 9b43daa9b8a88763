# Posteriors: draws for each observation, and what can be said of them.
rule sample:
    input:
        given(
            "results/{campaign}/{trained}/{observation}/sample.spec.json",
            estimator="results/{campaign}/{trained}/estimator.pt",
            observation="results/{campaign}/observations/{observation}.nc",
            proposals=PLAN.proposals,
        ),
    output:
        posterior="results/{campaign}/{trained}/{observation}/posterior.nc",
        spec="results/{campaign}/{trained}/{observation}/sample.spec.json",
    log:
        "results/{campaign}/{trained}/{observation}/sample.log",
    threads: 1
    params:
        spec=PLAN.specification,
    script:
        "../scripts/stage.py"


# Reweights the draws of a posterior by a likelihood, to another prior, or both.
rule refine:
    input:
        given(
            "results/{campaign}/{refined}/{observation}/refine.spec.json",
            proposal=PLAN.refined_from,
            observation="results/{campaign}/observations/{observation}.nc",
            likelihoods=PLAN.likelihoods,
        ),
    output:
        posterior="results/{campaign}/{refined}/{observation}/posterior.nc",
        spec="results/{campaign}/{refined}/{observation}/refine.spec.json",
    log:
        "results/{campaign}/{refined}/{observation}/refine.log",
    threads: 1
    params:
        spec=PLAN.specification,
    script:
        "../scripts/stage.py"


rule diagnose:
    input:
        ancient(PLAN.programs),
        given(
            "results/{campaign}/{estimator}/{observation}/diagnose.spec.json",
            posterior="results/{campaign}/{estimator}/{observation}/posterior.nc",
            observation="results/{campaign}/observations/{observation}.nc",
        ),
    output:
        diagnostics="results/{campaign}/{estimator}/{observation}/diagnostics.csv",
        predictive="results/{campaign}/{estimator}/{observation}/predictive.nc",
        spec="results/{campaign}/{estimator}/{observation}/diagnose.spec.json",
    log:
        "results/{campaign}/{estimator}/{observation}/diagnose.log",
    threads: 1
    params:
        spec=PLAN.specification,
    script:
        "../scripts/stage.py"
