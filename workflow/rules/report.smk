# One page a campaign, with a verdict; one a sweep; and a page that lists them. report() is what
# `snakemake --report` collects.
rule report:
    input:
        given(
            "results/{campaign}/report.spec.json",
            simulations="results/{campaign}/simulations.json",
            headers=JOBS.of_estimators(
                "results/{campaign}/{estimator}/estimator.json"
            ),
            histories=JOBS.of_estimators("results/{campaign}/{estimator}/history.csv"),
            calibrations=JOBS.of_estimators(
                "results/{campaign}/{estimator}/calibration.nc"
            ),
            refined_calibrations=JOBS.refined_calibrations,
            nuisance_ranks=JOBS.nuisance_ranks,
            boxes=JOBS.boxes,
            rounds=JOBS.rounds,
            made=JOBS.diagnosed,
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
        recommended=directory("results/{campaign}/recommended"),
        spec="results/{campaign}/report.spec.json",
    log:
        "results/{campaign}/report.log",
    threads: 2
    params:
        spec=JOBS.specification,
        observations=JOBS.observations,
        posteriors=JOBS.posteriors,
        catalogues=JOBS.catalogues,
    script:
        "../scripts/stage.py"


rule compare:
    input:
        given(
            "results/{sweep}/compare.spec.json",
            histories=JOBS.of_fits("results/{campaign}/{estimator}/history.csv"),
            calibrations=JOBS.of_fits(
                "results/{campaign}/{estimator}/calibration.nc", over_rounds=False
            ),
            headers=JOBS.of_fits(
                "results/{campaign}/{estimator}/estimator.json", over_rounds=True
            ),
            posteriors=JOBS.of_fits(
                "results/{campaign}/{estimator}/{observation}/posterior.nc",
                over_rounds=True,
            ),
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
        spec=JOBS.specification,
    script:
        "../scripts/stage.py"


rule index:
    input:
        given(
            "results/index.spec.json",
            verdicts=JOBS.verdict_files,
            comparisons=JOBS.of_sweeps("results/{sweep}/comparison.html"),
        ),
    output:
        index="results/index.html",
        spec="results/index.spec.json",
    log:
        "results/index.log",
    localrule: True
    params:
        spec=JOBS.specification,
    script:
        "../scripts/stage.py"


# Asked for where the configuration says strict: fails when a verdict does, after all pages.
rule judge:
    input:
        given(
            "results/accepted.spec.json",
            verdicts=JOBS.verdict_files,
            index="results/index.html",
        ),
    output:
        accepted="results/accepted.json",
        spec="results/accepted.spec.json",
    log:
        "results/judge.log",
    localrule: True
    params:
        spec=JOBS.specification,
    script:
        "../scripts/stage.py"
