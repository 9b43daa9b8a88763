# Parameters and data: rows that all campaigns with the same simulation key share.
# `snakemake preflight`: try the simulators and forecast time, bytes and files, before it is dear.
rule preflight:
    input:
        ancient(JOBS.all_programs()),
    log:
        "results/preflight.log",
    params:
        campaigns=JOBS.models(),
    script:
        "../scripts/stage.py"


rule sample_prior:
    input:
        given(
            "results/simulations/{simulation}/prior-{shard}.spec.json",
            first=JOBS.first_of_table,
        ),
    output:
        prior=directory("results/simulations/{simulation}/prior-{shard}.zarr"),
        spec="results/simulations/{simulation}/prior-{shard}.spec.json",
    log:
        "results/simulations/{simulation}/sample_prior-{shard}.log",
    params:
        spec=JOBS.specification,
        campaign_rows=lambda w: JOBS.of_shard(w).rows,
        learners=JOBS.learners,
    script:
        "../scripts/stage.py"


# The store shard-{shard}.zarr beside the receipt is not an output: Snakemake would delete it
# after a failure, and nothing could be resumed.
rule simulate:
    input:
        ancient(JOBS.programs),
        given(
            "results/simulations/{simulation}/shard-{shard}.spec.json",
            prior="results/simulations/{simulation}/prior-{shard}.zarr",
        ),
    output:
        receipt="results/simulations/{simulation}/shard-{shard}.json",
        spec="results/simulations/{simulation}/shard-{shard}.spec.json",
    log:
        "results/simulations/{simulation}/simulate-{shard}.log",
    wildcard_constraints:
        simulation=JOBS.simulated,
    threads: JOBS.threads
    params:
        spec=JOBS.specification,
        limits=JOBS.limits,
        effort=JOBS.effort,
        campaign_rows=lambda w: JOBS.of_shard(w).rows,
    script:
        "../scripts/stage.py"


# Rows of existing simulations; as above, the store beside the receipt is no output.
rule import_rows:
    input:
        given("results/simulations/{simulation}/shard-{shard}.spec.json"),
    output:
        receipt="results/simulations/{simulation}/shard-{shard}.json",
        spec="results/simulations/{simulation}/shard-{shard}.spec.json",
    log:
        "results/simulations/{simulation}/import_rows-{shard}.log",
    wildcard_constraints:
        simulation=JOBS.imported,
    threads: JOBS.threads
    params:
        spec=JOBS.specification,
        effort=JOBS.effort,
    script:
        "../scripts/stage.py"


rule manifest:
    input:
        given(
            "results/{campaign}/manifest.spec.json",
            receipts=JOBS.receipts,
        ),
    output:
        simulations="results/{campaign}/simulations.json",
        spec="results/{campaign}/manifest.spec.json",
    log:
        "results/{campaign}/manifest.log",
    localrule: True
    params:
        spec=JOBS.specification,
    script:
        "../scripts/stage.py"


# First of all, since it finds out early that a simulator and an observation do not fit together.
rule observe:
    input:
        ancient(JOBS.programs),
        given("results/{campaign}/observe-{part}.json"),
    output:
        spec="results/{campaign}/observe-{part}.json",
    log:
        "results/{campaign}/observe-{part}.log",
    priority: 100
    params:
        spec=JOBS.specification,
        limits=JOBS.limits,
        networks=JOBS.networks,
    script:
        "../scripts/stage.py"


rule single_observe:
    input:
        ancient(JOBS.programs),
        given("results/{campaign}/observations/{observation}.spec.json"),
    output:
        observation=update("results/{campaign}/observations/{observation}.nc"),
        spec=update("results/{campaign}/observations/{observation}.spec.json"),
    log:
        "results/{campaign}/observations/{observation}.log",
    priority: 100
    params:
        spec=JOBS.specification,
        limits=JOBS.limits,
        networks=JOBS.networks,
    script:
        "../scripts/stage.py"
