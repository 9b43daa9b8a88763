# Posteriors: draws for each observation, and what can be said of them. Results are a folder an
# observation. A job makes those of a part of all observations; its receipt, which Snakemake tracks,
# lists them. The rules single_... make one alone, if it is named as a target.
rule sample:
    input:
        given(
            "results/{campaign}/{trained}/sample-{part}.json",
            estimator="results/{campaign}/{trained}/estimator.pt",
            proposals=JOBS.proposals,
            made=JOBS.observed,
        ),
    output:
        spec="results/{campaign}/{trained}/sample-{part}.json",
    log:
        "results/{campaign}/{trained}/sample-{part}.log",
    threads: 1
    params:
        spec=JOBS.specification,
    script:
        "../scripts/stage.py"


rule single_sample:
    input:
        given(
            "results/{campaign}/{trained}/{observation}/sample.spec.json",
            estimator="results/{campaign}/{trained}/estimator.pt",
            proposals=JOBS.proposals,
            made="results/{campaign}/observations/{observation}.nc",
        ),
    output:
        posterior=update("results/{campaign}/{trained}/{observation}/posterior.nc"),
        spec=update("results/{campaign}/{trained}/{observation}/sample.spec.json"),
    log:
        "results/{campaign}/{trained}/{observation}/sample.log",
    threads: 1
    params:
        spec=JOBS.specification,
    script:
        "../scripts/stage.py"


# Reweights the draws of posteriors by a likelihood, to another prior, or both.
rule refine:
    input:
        given(
            "results/{campaign}/{refined}/refine-{part}.json",
            likelihoods=JOBS.likelihoods,
            corrections=JOBS.corrections,
            made=JOBS.proposed,
        ),
    output:
        spec="results/{campaign}/{refined}/refine-{part}.json",
    log:
        "results/{campaign}/{refined}/refine-{part}.log",
    threads: 1
    params:
        spec=JOBS.specification,
    script:
        "../scripts/stage.py"


rule single_refine:
    input:
        given(
            "results/{campaign}/{refined}/{observation}/refine.spec.json",
            likelihoods=JOBS.likelihoods,
            corrections=JOBS.corrections,
            made=JOBS.single_proposed,
        ),
    output:
        posterior=update("results/{campaign}/{refined}/{observation}/posterior.nc"),
        spec=update("results/{campaign}/{refined}/{observation}/refine.spec.json"),
    log:
        "results/{campaign}/{refined}/{observation}/refine.log",
    threads: 1
    params:
        spec=JOBS.specification,
    script:
        "../scripts/stage.py"


# Predictions that are dear go through a ledger, as campaigns do, with as many workers.
rule diagnose:
    input:
        ancient(JOBS.programs),
        given(
            "results/{campaign}/{estimator}/diagnose-{part}.json",
            nuisances=JOBS.nuisances,
            estimators=JOBS.scoring,
            made=JOBS.drawn,
        ),
    output:
        spec="results/{campaign}/{estimator}/diagnose-{part}.json",
    log:
        "results/{campaign}/{estimator}/diagnose-{part}.log",
    threads: JOBS.threads
    params:
        spec=JOBS.specification,
        limits=JOBS.limits,
        effort=JOBS.effort,
        block_size=JOBS.block_size,
        ledgers="results/simulations",
    script:
        "../scripts/stage.py"


rule single_diagnose:
    input:
        ancient(JOBS.programs),
        given(
            "results/{campaign}/{estimator}/{observation}/diagnose.spec.json",
            nuisances=JOBS.nuisances,
            estimators=JOBS.scoring,
            made="results/{campaign}/{estimator}/{observation}/posterior.nc",
        ),
    output:
        diagnostics=update(
            "results/{campaign}/{estimator}/{observation}/diagnostics.csv"
        ),
        predictive=update("results/{campaign}/{estimator}/{observation}/predictive.nc"),
        spec=update("results/{campaign}/{estimator}/{observation}/diagnose.spec.json"),
    log:
        "results/{campaign}/{estimator}/{observation}/diagnose.log",
    threads: JOBS.threads
    params:
        spec=JOBS.specification,
        limits=JOBS.limits,
        effort=JOBS.effort,
        block_size=JOBS.block_size,
        ledgers="results/simulations",
    script:
        "../scripts/stage.py"


# Simulates at draws of posteriors what predictions do not hold, and ranks these (posterior SBC).
rule posterior_sbc:
    input:
        ancient(JOBS.programs),
        given(
            "results/{campaign}/{trained}/posterior_sbc-{part}.json",
            estimator="results/{campaign}/{trained}/estimator.pt",
            made=JOBS.told,
        ),
    output:
        spec="results/{campaign}/{trained}/posterior_sbc-{part}.json",
    log:
        "results/{campaign}/{trained}/posterior_sbc-{part}.log",
    threads: JOBS.threads
    params:
        spec=JOBS.specification,
        limits=JOBS.limits,
        effort=JOBS.effort,
        block_size=JOBS.block_size,
        ledgers="results/simulations",
    script:
        "../scripts/stage.py"


rule single_posterior_sbc:
    input:
        ancient(JOBS.programs),
        given(
            "results/{campaign}/{trained}/{observation}/posterior_sbc.spec.json",
            estimator="results/{campaign}/{trained}/estimator.pt",
            made="results/{campaign}/{trained}/{observation}/predictive.nc",
        ),
    output:
        ranks=update("results/{campaign}/{trained}/{observation}/posterior_sbc.nc"),
        spec=update(
            "results/{campaign}/{trained}/{observation}/posterior_sbc.spec.json"
        ),
    log:
        "results/{campaign}/{trained}/{observation}/posterior_sbc.log",
    threads: JOBS.threads
    params:
        spec=JOBS.specification,
        limits=JOBS.limits,
        effort=JOBS.effort,
        block_size=JOBS.block_size,
        ledgers="results/simulations",
    script:
        "../scripts/stage.py"


# Catalogues: tables of many objects. Draws go to one store, to which a job adds those of a part of
# the objects, block by block; the store is no output, since Snakemake would delete it.
rule collect:
    input:
        ancient(JOBS.programs),
        given("results/{campaign}/observations/{catalogue}.spec.json"),
    output:
        catalogue="results/{campaign}/observations/{catalogue}.nc",
        spec="results/{campaign}/observations/{catalogue}.spec.json",
    log:
        "results/{campaign}/observations/{catalogue}.log",
    priority: 100
    params:
        spec=JOBS.specification,
        limits=JOBS.limits,
        networks=JOBS.networks,
    script:
        "../scripts/stage.py"


rule infer:
    input:
        ancient(JOBS.programs),
        given(
            "results/{campaign}/{trained}/{catalogue}/infer-{part}.spec.json",
            simulations="results/{campaign}/simulations.json",
            estimator="results/{campaign}/{trained}/estimator.pt",
            proposals=JOBS.proposals,
            nuisances=JOBS.nuisances,
            catalogue="results/{campaign}/observations/{catalogue}.nc",
        ),
    output:
        receipt="results/{campaign}/{trained}/{catalogue}/infer-{part}.json",
        spec="results/{campaign}/{trained}/{catalogue}/infer-{part}.spec.json",
    log:
        "results/{campaign}/{trained}/{catalogue}/infer-{part}.log",
    threads: JOBS.threads
    params:
        spec=JOBS.specification,
        limits=JOBS.limits,
        effort=JOBS.effort,
        block_size=JOBS.block_size,
        ledgers="results/simulations",
        store="results/{campaign}/{trained}/{catalogue}/draws.zarr",
    script:
        "../scripts/stage.py"


rule tabulate:
    input:
        given(
            "results/{campaign}/{trained}/{catalogue}/tabulate.spec.json",
            catalogue="results/{campaign}/observations/{catalogue}.nc",
            receipts=JOBS.inferred,
        ),
    output:
        table="results/{campaign}/{trained}/{catalogue}/objects.csv",
        parquet="results/{campaign}/{trained}/{catalogue}/objects.parquet",
        worst="results/{campaign}/{trained}/{catalogue}/worst.nc",
        facts="results/{campaign}/{trained}/{catalogue}/objects.json",
        spec="results/{campaign}/{trained}/{catalogue}/tabulate.spec.json",
    log:
        "results/{campaign}/{trained}/{catalogue}/tabulate.log",
    params:
        spec=JOBS.specification,
        store="results/{campaign}/{trained}/{catalogue}/draws.zarr",
    script:
        "../scripts/stage.py"
