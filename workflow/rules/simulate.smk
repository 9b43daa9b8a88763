# Parameters and data: rows that all campaigns with the same simulation key share.
# `snakemake preflight`: try the simulators and forecast time, bytes and files, before it is dear.
rule preflight:
    input:
        [ancient(path) for made in PLAN.simulations.values() for path in made.requires],
        specs=[f"{made.folder}/spec.json" for made in PLAN.simulations.values()],
    log:
        "results/preflight.log",
    params:
        rows=json.dumps({n: made.rows for n, made in PLAN.simulations.items()}),
        workers=json.dumps(
            {n: made.dask.get("workers", 1) for n, made in PLAN.simulations.items()}
        ),
    script:
        "../scripts/stage.py"


rule sample_prior:
    input:
        spec="results/simulations/{simulation}/spec.json",
        shard="results/simulations/{simulation}/shard-{shard}.spec.json",
    output:
        prior=directory("results/simulations/{simulation}/prior-{shard}.zarr"),
    log:
        "results/simulations/{simulation}/sample_prior-{shard}.log",
    script:
        "../scripts/stage.py"


# The store shard-{shard}.zarr beside the receipt is not an output: Snakemake would delete it
# after a failure, and nothing could be resumed.
rule simulate:
    input:
        programs_of,
        spec="results/simulations/{simulation}/spec.json",
        shard="results/simulations/{simulation}/shard-{shard}.spec.json",
        prior="results/simulations/{simulation}/prior-{shard}.zarr",
    output:
        receipt="results/simulations/{simulation}/shard-{shard}.json",
    log:
        "results/simulations/{simulation}/simulate-{shard}.log",
    threads: lambda w: threads_of(simulations_of(w).dask)
    resources:
        dask_cluster=lambda w: simulations_of(w).dask.get("cluster", "local"),
        workers=lambda w: simulations_of(w).dask.get("workers", 1),
        minimum=lambda w: simulations_of(w).dask.get("minimum", 0),
        chunk_size=lambda w: simulations_of(w).dask.get("chunk_size", 0),
        bucket=lambda w: simulations_of(w).bucket,
        campaign_rows=lambda w: simulations_of(w).rows,
    params:
        max_failed_fraction=lambda w: simulations_of(w).max_failed_fraction,
        limits=lambda w: json.dumps(simulations_of(w).limits, sort_keys=True),
    script:
        "../scripts/stage.py"


rule manifest:
    input:
        spec="results/{campaign}/manifest.spec.json",
        receipts=receipts_of,
    output:
        simulations="results/{campaign}/simulations.json",
    log:
        "results/{campaign}/manifest.log",
    localrule: True
    script:
        "../scripts/stage.py"


# First of all, since it finds out early that a simulator and an observation do not fit together.
rule observe:
    input:
        programs_of,
        spec="results/{campaign}/observations/{observation}.spec.json",
    output:
        observation="results/{campaign}/observations/{observation}.nc",
    log:
        "results/{campaign}/observations/{observation}.log",
    priority: 100
    script:
        "../scripts/stage.py"
