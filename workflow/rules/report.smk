# One page a campaign, with a verdict; one a sweep; and a page that lists them. report() is what
# `snakemake --report` collects.
rule report:
    input:
        spec="results/{campaign}/report.spec.json",
        simulations="results/{campaign}/simulations.json",
        observations=parts_of("results/{campaign}/observations/{observation}.nc"),
        estimators=parts_of("results/{campaign}/{estimator}/estimator.pt"),
        histories=parts_of("results/{campaign}/{estimator}/history.csv"),
        calibrations=parts_of("results/{campaign}/{estimator}/calibration.nc"),
        posteriors=parts_of(
            "results/{campaign}/{estimator}/{observation}/posterior.nc",
            PLAN.posteriors,
        ),
        diagnostics=parts_of(
            "results/{campaign}/{estimator}/{observation}/diagnostics.csv",
            PLAN.posteriors,
        ),
        predictives=parts_of(
            "results/{campaign}/{estimator}/{observation}/predictive.nc",
            PLAN.posteriors,
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
    log:
        "results/{campaign}/report.log",
    script:
        "../scripts/stage.py"


rule compare:
    input:
        spec="results/{sweep}/compare.spec.json",
        histories=fits_of("results/{campaign}/{estimator}/history.csv"),
        calibrations=fits_of("results/{campaign}/{estimator}/calibration.nc"),
    output:
        comparison=report(
            "results/{sweep}/comparison.html",
            category="Sweeps",
            labels={"sweep": "{sweep}"},
        ),
        table="results/{sweep}/comparison.csv",
        figure="results/{sweep}/comparison.pdf",
        image="results/{sweep}/comparison.png",
    log:
        "results/{sweep}/compare.log",
    script:
        "../scripts/stage.py"


rule index:
    input:
        specs=expand("results/{campaign}/report.spec.json", campaign=PLAN.reported),
        verdicts=expand("results/{campaign}/verdict.json", campaign=PLAN.reported),
        comparisons=expand("results/{sweep}/comparison.html", sweep=PLAN.sweeps),
    output:
        index="results/index.html",
    log:
        "results/index.log",
    localrule: True
    script:
        "../scripts/stage.py"


# Asked for where the configuration says strict: fails when a verdict does, after all pages.
rule judge:
    input:
        verdicts=expand("results/{campaign}/verdict.json", campaign=PLAN.reported),
        index="results/index.html",
    output:
        accepted="results/accepted.json",
    log:
        "results/judge.log",
    localrule: True
    script:
        "../scripts/stage.py"
