# One page a campaign, with a verdict; one a sweep; and a page that lists them. report() is what
# `snakemake --report` collects.
rule report:
    input:
        given(
            "results/{campaign}/report.spec.json",
            simulations="results/{campaign}/simulations.json",
            headers=PLAN.of_estimators(
                "results/{campaign}/{estimator}/estimator.json"
            ),
            histories=PLAN.of_estimators("results/{campaign}/{estimator}/history.csv"),
            calibrations=PLAN.of_estimators(
                "results/{campaign}/{estimator}/calibration.nc"
            ),
            nuisance_ranks=PLAN.nuisance_ranks,
            made=PLAN.diagnosed,
        ),
    output:
        report=report(
            "results/{campaign}/report.html",
            category="Reports",
            labels={"campaign": "{campaign}"},
        ),
        verdict="results/{campaign}/verdict.json",
        figures=report(
            directory("results/{campaign}/figures"),
            patterns=["{figure}.png"],
            category="Figures",
            subcategory="{campaign}",
            labels={"figure": "{figure}"},
        ),
        spec="results/{campaign}/report.spec.json",
    log:
        "results/{campaign}/report.log",
    params:
        spec=PLAN.specification,
        observations=PLAN.observations,
        posteriors=PLAN.posteriors,
        catalogues=PLAN.catalogues,
    script:
        "../scripts/stage.py"


rule compare:
    input:
        given(
            "results/{sweep}/compare.spec.json",
            histories=PLAN.of_fits("results/{campaign}/{estimator}/history.csv"),
            calibrations=PLAN.of_fits("results/{campaign}/{estimator}/calibration.nc"),
        ),
    output:
        comparison=report(
            "results/{sweep}/comparison.html",
            category="Sweeps",
            labels={"sweep": "{sweep}"},
        ),
        table="results/{sweep}/comparison.csv",
        figure="results/{sweep}/comparison.pdf",
        image="results/{sweep}/comparison.png",
        spec="results/{sweep}/compare.spec.json",
    log:
        "results/{sweep}/compare.log",
    params:
        spec=PLAN.specification,
    script:
        "../scripts/stage.py"


rule index:
    input:
        given(
            "results/index.spec.json",
            verdicts=PLAN.of_reported("results/{campaign}/verdict.json"),
            comparisons=PLAN.of_sweeps("results/{sweep}/comparison.html"),
        ),
    output:
        index="results/index.html",
        spec="results/index.spec.json",
    log:
        "results/index.log",
    localrule: True
    params:
        spec=PLAN.specification,
    script:
        "../scripts/stage.py"


# Asked for where the configuration says strict: fails when a verdict does, after all pages.
rule judge:
    input:
        given(
            "results/accepted.spec.json",
            verdicts=PLAN.of_reported("results/{campaign}/verdict.json"),
            index="results/index.html",
        ),
    output:
        accepted="results/accepted.json",
        spec="results/accepted.spec.json",
    log:
        "results/judge.log",
    localrule: True
    params:
        spec=PLAN.specification,
    script:
        "../scripts/stage.py"
