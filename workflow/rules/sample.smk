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
    wildcard_constraints:
        estimator="|".join(config["estimators"]),
    threads: 1
    script:
        "../scripts/stage.py"


# Reweights the draws of a posterior by a likelihood, to another prior, or both.
rule refine:
    input:
        spec="results/{campaign}/{refined}/{observation}/refine.spec.json",
        proposal=proposal_refined,
        observation="results/{campaign}/observations/{observation}.nc",
        likelihoods=likelihood_of,
    output:
        posterior="results/{campaign}/{refined}/{observation}/posterior.nc",
    log:
        "results/{campaign}/{refined}/{observation}/refine.log",
    wildcard_constraints:
        refined="|".join(config.get("refine", ["(?!)"])),
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
