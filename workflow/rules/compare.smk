# Comparisons of campaigns as models of the same data: a classifier of the model, which learns from
# the rows of all campaigns; evidences by likelihoods; and the page that tells of both.
rule classify:
    input:
        given(
            "results/{comparison}/classify.spec.json",
            simulations=JOBS.compared("manifests"),
        ),
    output:
        classifier="results/{comparison}/classifier.pt",
        calibration="results/{comparison}/calibration.nc",
        history="results/{comparison}/history.csv",
        spec="results/{comparison}/classify.spec.json",
    log:
        "results/{comparison}/classify.log",
    threads: 1
    params:
        spec=JOBS.specification,
    script:
        "../scripts/stage.py"


rule weigh_models:
    input:
        given(
            "results/{comparison}/weigh_models.spec.json",
            estimators=JOBS.compared("weighing_estimators"),
            made=JOBS.compared("weighing_receipts"),
        ),
    output:
        evidences="results/{comparison}/evidences.nc",
        spec="results/{comparison}/weigh_models.spec.json",
    log:
        "results/{comparison}/weigh_models.log",
    threads: 1
    params:
        spec=JOBS.specification,
        posteriors=JOBS.compared("weighing_posteriors"),
        observed=JOBS.compared("weighing_observed"),
    script:
        "../scripts/stage.py"


rule compare_models:
    input:
        given(
            "results/{comparison}/compare_models.spec.json",
            classifier="results/{comparison}/classifier.pt",
            calibration="results/{comparison}/calibration.nc",
            evidences="results/{comparison}/evidences.nc",
            simulations=JOBS.compared("manifests"),
            tables=JOBS.compared("tables"),
            made=JOBS.compared("receipts"),
        ),
    output:
        report=report(
            "results/{comparison}/report.html",
            category="Comparisons",
            labels={"comparison": "{comparison}"},
        ),
        verdict="results/{comparison}/verdict.json",
        table="results/{comparison}/comparison.csv",
        figures=report(
            directory("results/{comparison}/figures"),
            patterns=["{figure}.png"],
            category="Figures",
            subcategory="{comparison}",
            labels={"figure": "{figure}"},
        ),
        averaged=directory("results/{comparison}/averaged"),
        objects=directory("results/{comparison}/objects"),
        spec="results/{comparison}/compare_models.spec.json",
    log:
        "results/{comparison}/compare_models.log",
    threads: 1
    params:
        spec=JOBS.specification,
        observed=JOBS.compared("observed"),
        posteriors=JOBS.compared("posteriors"),
    script:
        "../scripts/stage.py"
