"""The form of a configuration: every key, what it may be and what it means.

What a part of the house takes (``network``, ``training``, ``options`` and the like) stands in the
signature of that part; here it says in which.
"""

# No deferred annotations: typed dictionaries read `Required` when they are made.
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Required, TypedDict

from annotated_types import Ge, Gt, Le, Lt, MinLen, Predicate
from pydantic import AfterValidator, StringConstraints

from .. import registry
from ..options import (
    Count,
    Default,
    Described,
    Fraction,
    OneOf,
    Passes,
    Positive,
    Seed,
    Takes,
    Width,
    all_differ,
)
from ..priors.families import TYPES

Config = Mapping[str, Any]

FOLDERS = ("simulations", "observations", "figures", "recommended", "programs", "tensorboard")
"""Folders of ours below `results` and below a campaign, which no entry can be named like."""


def _free(name: str) -> str:
    """Refuse a name that is one of our folders."""
    if name in FOLDERS:
        raise ValueError(f"{name} is a folder of ours")
    return name


def _listed(given: int | list[int]) -> list[int]:
    return given if isinstance(given, list) else [given]


def _has_port(cluster: str) -> bool:
    """Say whether an address ends with a port that there can be, where it has one."""
    port = cluster.rpartition(":")[2]
    return not port.isdecimal() or 0 < int(port) < 65_536


Name = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$"),
    AfterValidator(_free),
    Described(
        "a name of letters, digits and underscores that begins with a letter and is none of "
        + ", ".join(FOLDERS)
    ),
]
Names = Annotated[list[str], Predicate(all_differ), Described("a list of names, each once")]
SomeNames = Annotated[
    list[str],
    MinLen(1),
    Predicate(all_differ),
    Described("a list of one or more names, each once"),
]
Sizes = Annotated[
    list[Annotated[int, Ge(100), Le(1_000_000_000)]],
    MinLen(1),
    Predicate(all_differ),
    Described("a list of whole numbers from 100 to 1000000000, each once"),
]
MOST_ROUNDS = 20
Numbers = Annotated[
    list[Annotated[int, Ge(1), Le(MOST_ROUNDS)]],
    MinLen(1),
    Predicate(all_differ),
    Described("a list of whole numbers from 1 to 20, each once"),
]
Seeds = Annotated[
    list[Seed],
    MinLen(1),
    Predicate(all_differ),
    Described("a list of whole numbers of at least 0, each once"),
]
Values = Annotated[list[Any], MinLen(1), Described("a list of values")]
Address = Annotated[
    str,
    StringConstraints(pattern=r"^(s3|gs|az)://[^/]+"),
    Described("an address such as s3://name/prefix"),
]

DISTRIBUTIONS = {name: family.arguments for name, family in TYPES.items()}
"""Arguments of the families of priors, by type."""


def prior_entry(
    *,
    type: Annotated[str, OneOf(TYPES)],  # noqa: A002 - the word of the configuration
    unit: str = "",
    label: str = "",
    description: str = "",
    periodic: bool = False,
    **arguments: Annotated[Any, Passes(DISTRIBUTIONS, by="type")],
) -> None:
    """Take what the prior of one parameter is written with.

    Args:
        type: The family of distributions.
        unit: Shown in tables and on axes.
        label: LaTeX between dollars or plain, shown on axes; the name where there is none.
        description: A note to yourself.
        periodic: Whether both ends of its range are one point, as of a phase.
        **arguments: Those of the family.
    """


Prior = Annotated[Mapping[str, Any], Takes(prior_entry)]


def existing_simulations(
    *,
    files: str | SomeNames = (),  # type: ignore[assignment]
    parameters: str | list[str] | dict[str, str] = "",
    x: str | SomeNames = (),  # type: ignore[assignment]
    drawn_from: Mapping[str, Any] | None = None,
    rows: Annotated[int, Ge(100), Le(1_000_000_000)] | None = None,
) -> None:
    r"""Take where existing simulations lie.

    Args:
        files: A file, a pattern such as ``runs/*.h5``, or a list of these: .h5, .nc, .npy, .npz,
            .zarr, .fits, .parquet or .csv, of many rows or of one run each. They come in the order
            of their names, run_2 before run_10 (\*).
        parameters: Name of an array with a column for each parameter, in the order of ``priors``;
            or names by parameter, of those that are not called like it: of arrays, columns,
            attributes or cards of a header. Without ``files``, a file or pattern of its own (\*).
        x: Name of the data, or a list or pattern of columns; without, all that is beside the
            parameters, if that is one array. Without ``files``, a file or pattern of its own (\*).
        drawn_from: What parameters were drawn from, where that is not their prior:
            ``{box: {a: [0, 1]}}``, for a Latin hypercube and a Sobol sequence too; ``{samples:
            chain.csv}``, a file with a column for each parameter, all samples of which they are
            like; or entries as of ``priors``. Those not named follow their prior.
        rows: How many to take, the first ones; by default all.
    """


ExistingSimulations = Annotated[
    Annotated[int, Ge(100), Le(1_000_000_000)] | Mapping[str, Any],
    Described(
        "a whole number of at least 100 and at most 1000000000, or {files: ...} of existing "
        "simulations"
    ),
    Takes(existing_simulations),
]


class Observation(TypedDict, total=False):
    """One data set, from a file or simulated; several joined; or a catalogue of many objects.

    Attributes:
        file: A .csv, .txt, .npy, .npz, .parquet, .h5 or .fits file with one data set.
        parameters: Simulate it, with these values; parameters not named are drawn from the prior.
        truth: What is known of the parameters of a file, drawn in figures; of a table, the columns
            that hold them, by parameter.
        known: Values of ``known_parameters``: numbers; of events, also a list or a file of one for
            each; of a table, also the name of a column. Where data are simulated, those not given
            are drawn from their prior.
        seed: Of a simulated observation.
        events: How many to simulate, in a campaign of events.
        tried: Of a file of events that worked: how many were tried, with ``selection: tried``.
        joined: Names of other observations of this campaign that are of one source: they get one
            posterior together, in which the prior counts once. Nuisance parameters are each one's
            own.
        table: A catalogue: a .csv, .parquet, .h5, .fits, .npy or .npz file with an object a row, or
            a pattern such as ``spectra/*.csv`` for a file an object.
        name: Of a table: the column with the names of the objects; without, they are numbered.
        columns: Of a file or table: those with the data, in this order; without, those that the
            simulator says (``columns = ("on", "off")``), else all that hold no names and no truths.
        files: Of a table: the column with the path of each object's own file, in place of
            ``columns``.
        draws: Of a table: draws of each object.
    """

    file: str
    parameters: dict[str, float]
    truth: dict[str, float | str]
    known: dict[str, float | str | list[float]]
    seed: Annotated[Seed, Default(0)]
    events: Annotated[int, Ge(1), Le(10_000_000)]
    tried: Annotated[int, Ge(1), Le(1_000_000_000)]
    joined: SomeNames
    table: str
    name: str
    columns: SomeNames
    files: str
    draws: Annotated[int, Ge(100), Le(1_000_000), Default(1_000)]


class Derived(TypedDict, total=False):
    """An expression in inferred parameters.

    Attributes:
        expression: Such as ``beta / gamma``.
        unit: Shown in tables and on axes.
        label: Shown on axes; the name where there is none.
    """

    expression: Required[str]
    unit: str
    label: str


class Axis(TypedDict, total=False):
    """The axis of a series of data; its values are start, start + step, ..., or are given.

    Attributes:
        label: What stands at the axis.
        start: Its first value.
        step: From one value to the next.
        values: All of them, irregular times for instance: a list, or a file such as an observation.
        column: Column of that file.
    """

    label: str
    start: Annotated[float, Default(1)]
    step: Annotated[float, Default(1)]
    values: str | list[float]
    column: str


class Data(TypedDict, total=False):
    """What the data are called on the axes of figures.

    Attributes:
        label: What they are.
        unit: Their unit.
        axis: Of a series.
    """

    label: str
    unit: str
    axis: Axis


class Split(TypedDict, total=False):
    """Fractions of the simulations that are held out.

    Attributes:
        validation: For early stopping.
        test: For calibration. Where it is not given, fewer than 6000 simulations hold out 0.15 of
            the first 2000 and none of the others.
    """

    validation: Annotated[Fraction, Default(0.1)]
    test: Annotated[Fraction, Default(0.05)]


class Missing(TypedDict, total=False):
    r"""How elements of the data come to be missing: one of the first three.

    Attributes:
        probability: That an element is missing.
        length: With ``probability``: of a run of missing elements; a list has the length of a block
            along each axis of the data.
        patterns: A .npy, .npz, .csv or .txt file with masks to draw from, one a row: 1 where an
            element is there, 0 where it is missing; its content counts.
        rows: The simulator returns NaN for what is missing (\*).
    """

    probability: Annotated[float, Gt(0), Lt(1)]
    length: Annotated[
        int | list[int],
        Predicate(lambda given: all(1 <= n <= 10**6 for n in _listed(given))),
        Described("a whole number from 1 to 1000000, or a list of them"),
        Default(1),
    ]
    patterns: str
    rows: bool


class TableOfParameters(TypedDict, total=False):
    r"""A table whose row i has the parameters of simulation i.

    Attributes:
        table: A .csv, .parquet, .h5, .fits, .npy or .npz file with a column for each parameter that
            it gives, or an array of all of them; its content counts (\*).
        columns: Columns that are not called like their parameter, by parameter (\*).
    """

    table: Required[str]
    columns: dict[str, str]


class Rounds(TypedDict, total=False):
    """Simulations in rounds, each within a smaller box of the prior that holds the posterior.

    Attributes:
        observation: Which observation they are about; by default each of the campaign, whose rounds
            share the first.
        estimator: Whose posterior the boxes hold; by default the first of the campaign.
        at_most: How many rounds, the last one counted.
        simulations: Of each round before the last, or a list of them; rows of earlier rounds within
            the box are counted. ``simulations`` of the campaign are those of the last.
        mass: Posterior mass that a box may leave out, of each parameter.
        widening: Factor by which its intervals are widened; further where calibration asks for it.
        shrink: A box that keeps more than this share of the one before is the last.
        axes: Along which boxes lie: those of the ``parameters``, or the ``principal`` ones of the
            posterior, for one that is thin and oblique.
    """

    observation: str | SomeNames
    estimator: str
    at_most: Annotated[int, Ge(2), Le(MOST_ROUNDS), Default(5)]
    simulations: Annotated[
        int | list[int],
        Predicate(lambda given: all(100 <= n <= 10**9 for n in _listed(given))),
        Described("a whole number from 100 to 1000000000, or a list of them"),
        Default("a fifth of those of the campaign, 500 at least"),
    ]
    mass: Annotated[float, Gt(0), Le(0.1), Default(1e-4)]
    widening: Annotated[float, Ge(1), Le(10), Default(1.0)]
    shrink: Annotated[float, Gt(0), Lt(1), Default(0.8)]
    axes: Annotated[Literal["parameters", "principal"], Default("parameters")]


class LimitsEntry(TypedDict, total=False):
    """For simulators that crash, hang or leak: each call is made in a guarded child process.

    Attributes:
        isolate: Guard without a limit.
        time_limit: Seconds a call may take.
        memory_limit: Bytes a call may use.
        retries: Tries more after a crash or time-out; without a guard, of a program that a
            simulator runs.
    """

    isolate: Annotated[bool, Default(False)]
    time_limit: Positive
    memory_limit: Count
    retries: Annotated[int, Ge(0), Default(0)]


class Dask(TypedDict, total=False):
    """How simulations run; never changes a result.

    Attributes:
        cluster: ``local``, ``slurm``, or the address of a scheduler, ``tcp://…``.
        workers: Processes of a shard's job.
        minimum: With ``slurm``: fewest workers, of a cluster that grows up to ``workers`` while
            there is work.
        chunk_size: Rows of one task; chosen so that one takes 1 to 2 s.
    """

    cluster: Annotated[
        str,
        StringConstraints(
            pattern=r"^(local|slurm|(tcp|tls|ucx|wss?)://([\w.-]+|\[[\w:.%]+\]):\d+)$"
        ),
        Predicate(_has_port),
        Described("local, slurm, or the address of a scheduler such as tcp://10.0.0.1:8786"),
        Default("local"),
    ]
    workers: Annotated[Width, Default(1)]
    minimum: Annotated[Count, Default("all at once")]
    chunk_size: Annotated[Count, Default("auto")]


class CampaignEntry(TypedDict, total=False):
    r"""A simulator, its priors and its observations.

    Attributes:
        simulator: One of those below, or ``my_module:MySimulator``, a class or a function. Beside
            existing simulations it is needed for predictions alone.
        options: Those of the simulator, below (\*).
        simulations: How many, reused ones counted; raise it and only the missing ones are run. Or
            where existing ones lie, ``{files: runs/*.h5}``, below.
        source: Where parameters come from, if not from the prior: ``{table: draws.csv}``, below.
        reuse: Campaigns whose simulations are taken as well, below.
        rounds: Simulate in rounds, each where the posterior of the one before is, below.
        seed: Of prior, simulations and split (\*).
        priors: One entry for every parameter of the simulator, or pattern (``flux_*``), below; or
            ``my_module:MyPrior`` (\*).
        inferred_parameters: What the posterior is of, in this order.
        nuisance_parameters: All others: simulated, then dropped, which marginalises over them.
        known_parameters: Those whose values come with every observation, such as exposures, below.
        events: One simulation is one event, and an observation has several, independent given
            theta: nle and nre learn single events, and their log likelihoods or ratios are summed.
        selection: Of a campaign of events, some of which fail: which events an observation has,
            ``detected``, those that worked, of an unknown number; ``tried``, those that worked, of
            a known number; or ``all``, those that failed among them as NaN. See below.
        nuisance_scope: Of a campaign of events, where there are nuisances: ``event``, drawn anew
            for every event; with ``dataset``, shared by all, the sum would be wrong and is refused.
        derived_parameters: Expressions in inferred parameters, reported beside them:
            ``{R0: {expression: beta / gamma, label: $R_0$}}``.
        data: What the data are called on the axes of figures.
        missing: How elements of the data come to be missing, where some are, below.
        observations: Data sets by name, below.
        estimators: Which of ``estimators`` below to train.
        title: Heading of the report.
        question: What the study asks, in a sentence or three.
        corner: Parameters that corner plots show, of more than ten; by default those that the data
            tell most of and those most correlated.
        split: Fractions for early stopping and for calibration.
        max_failed_fraction: Stop when more simulations fail.
        shard_size: Rows of one job (\*).
        block_size: Rows of one call of a vectorised simulator (\*).
        store_nuisance: With ``false`` nuisances are never written (\*).
        code_version: A text; change it to simulate anew, for a new library (\*).
        extra_files: Files whose content the simulations depend on (\*).
        limits: For simulators that crash, hang or leak; a row that breaks a limit is a failed row.
        requires: Files the simulator needs, such as a program: made first if a rule makes them.
        bucket: ``s3://name/prefix``: the arrays of new shards go to an object store, see below.
        dask: How simulations run; never changes a result.
    """

    simulator: Annotated[str, OneOf(registry.SIMULATORS)]
    options: Annotated[Mapping[str, Any], Takes(registry.SIMULATORS, by="simulator", called=2)]
    simulations: Required[ExistingSimulations]
    source: TableOfParameters
    reuse: SomeNames
    rounds: Rounds
    seed: Annotated[Seed, Default(1)]
    priors: Required[str | dict[str, Prior]]
    inferred_parameters: Required[SomeNames]
    nuisance_parameters: Names
    known_parameters: Names
    events: Annotated[bool, Default(False)]
    selection: Literal["detected", "tried", "all"]
    nuisance_scope: Literal["event", "dataset"]
    derived_parameters: dict[str, Derived]
    data: Data
    missing: Missing
    observations: dict[Name, Observation]
    estimators: Annotated[SomeNames, Default("all")]
    title: str
    question: str
    corner: Names
    split: Split
    max_failed_fraction: Annotated[float, Ge(0), Le(1), Default(0.5)]
    shard_size: Annotated[Count, Default(100_000)]
    block_size: Annotated[Count, Default(1_000)]
    store_nuisance: Annotated[bool, Default(True)]
    code_version: str
    extra_files: Names
    limits: LimitsEntry
    requires: Names
    bucket: Address
    dask: Dask


class SamplerEntry(TypedDict, total=False):
    """How draws are made; further options are those of the sampler.

    Attributes:
        name: ``direct``: the estimator's own draws; ``emcee``: MCMC; ``auto``: the first of these
            that suits the estimator; or ``my_module:MySampler``.
        draws: How many.
        proposal: An estimator with draws and their density (npe, fmpe) of the same campaign, whose
            draws are reweighted, and which MCMC starts and proposes from where their weights cannot
            be trusted; ``auto``: the first of these if there is one; ``none``: MCMC alone.
    """

    name: Annotated[str, OneOf(registry.SAMPLERS, besides=("auto",)), Default("auto")]
    draws: Annotated[int, Ge(100), Le(10_000_000), Default(10_000)]
    proposal: Annotated[str, Default("auto")]


class EstimatorEntry(TypedDict, total=False):
    """A method and its options; trained once on each campaign, for all its observations.

    Attributes:
        method: ``npe``: density of the posterior; ``nle``: density of the data, then MCMC; ``nre``:
            ratio of the two, then MCMC; ``mnre``: ratios of each parameter alone, no correlations;
            ``fmpe``: flow matching; ``cmpe``: consistency model, draws only; ``auto``: several of
            these, compared by held-out simulations and mixed; or ``my_module:MyEstimator``.
        network: Options of the method, below.
        training: Options of the training, below.
        seed: Of weights and batches.
        sampler: How draws are made, below.
    """

    method: Required[Annotated[str, OneOf(registry.ESTIMATORS)]]
    network: Annotated[Mapping[str, Any], Takes("sbi_pipeline.estimators:build", given=3)]
    training: Annotated[Mapping[str, Any], Takes("sbi_pipeline.choosing:learn_campaign", given=4)]
    seed: Annotated[Seed, Default(1)]
    sampler: Mapping[str, Any]


class Sweep(TypedDict, total=False):
    """One question asked with other numbers of simulations, of rounds, networks and seeds.

    Attributes:
        campaign: Which campaign to repeat.
        estimators: Which estimators; by default those of the campaign.
        simulations: Numbers of them; the largest is simulated, the others are its first rows.
        rounds: Numbers of them at most, of a campaign with rounds; 1 is none.
        network: Options of the network, each with a list of values.
        seeds: Of weights and batches.
    """

    campaign: Required[str]
    estimators: SomeNames
    simulations: Sizes
    rounds: Numbers
    network: dict[str, Values]
    seeds: Seeds


class Refinement(TypedDict, total=False):
    """A posterior made from that of an estimator by reweighting its draws.

    Attributes:
        proposal: The estimator whose draws are reweighted; one with draws and their density (npe,
            fmpe) for a likelihood, any for another prior.
        likelihood: An estimator of nle or nre, or ``exact``: the simulator's own
            ``log_likelihood(parameters, x)``, in nats, of all its parameters, ``(n,
            n_parameters)``, for one data set.
        nuisance_draws: With ``exact`` and nuisances: draws of them from their prior over which the
            likelihood is averaged; unused where the simulator has ``log_marginal_likelihood(theta,
            x)`` of its ``marginal_parameters``, and these are the inferred ones.
        priors: Priors to change, of inferred parameters; refused where they are wider than those
            trained on.
        recalibrate: Instead of both, whether each parameter is moved and widened so that held-out
            truths rank as they should, by three quarters of the held-out simulations; the last
            quarter judges it.
    """

    proposal: Required[str]
    likelihood: str
    recalibrate: Annotated[bool, Default(False)]
    nuisance_draws: Annotated[int, Ge(1), Le(1_000_000), Default(64)]
    priors: dict[str, Prior]


class Predictive(TypedDict, total=False):
    """How data are predicted from posteriors.

    Attributes:
        nuisances: What the nuisances of the bands are drawn from. ``posterior``: what is known of
            them given the inferred parameters and the observation, which is learnt from the
            simulations that are there, of up to 20 continuous ones that are stored; ``prior``:
            their prior.
    """

    nuisances: Annotated[Literal["posterior", "prior"], Default("posterior")]


class Configuration(TypedDict, total=False):
    """Configuration of a study.

    Attributes:
        campaigns: By name: a simulator, its priors and its observations.
        estimators: By name: a method and its options.
        sweeps: By name: one question asked with other numbers of simulations, networks and seeds.
        refine: By name: posteriors made from those of estimators, by weight or by recalibration.
        calibration: How estimators are asked about held-out simulations.
        predictive_draws: Draws of each posterior for which data are simulated, for the eye, and
            data sets of one draw, with which the observation is compared; ``auto`` is 1000, or 500
            or 250 where those of one posterior would take more than ten minutes, 0 is none.
        predictive: How data are predicted.
        posterior_calibration: Simulations at draws of each posterior, with which its estimator is
            checked where the posterior is (posterior SBC), as far as they can be those of its
            predictions; 0 is none. 500 see widths wrong by 0.7.
        observations_per_job: The most observations that one job observes, draws for or tells of;
            on a cluster a smaller number makes more jobs.
        objects_per_job: The most objects of a catalogue that one job draws for.
        strict: With ``true`` a failed verdict makes snakemake fail, after all reports are written.
        thresholds: Limits of the verdict, by diagnostic; a pair is ``[warn, fail]``.
            ``docs/checks.md`` lists them.
        if_quick: What ``snakemake --config quick=true`` replaces, in the form of all the rest.
    """

    campaigns: Required[Annotated[dict[Name, CampaignEntry], MinLen(1)]]
    estimators: Required[Annotated[dict[Name, EstimatorEntry], MinLen(1)]]
    sweeps: dict[Name, Sweep]
    refine: dict[Name, Refinement]
    calibration: Annotated[Mapping[str, Any], Takes("sbi_pipeline.diagnostics.ranks:rank", given=3)]
    predictive_draws: Annotated[
        int | str,
        Predicate(lambda n: n == "auto" or (isinstance(n, int) and (n == 0 or 10 <= n <= 10**7))),
        Described("auto, 0, or a whole number of at least 10 and at most 10000000"),
        Default("auto"),
    ]
    predictive: Predictive
    posterior_calibration: Annotated[
        int,
        Predicate(lambda n: n == 0 or 50 <= n <= 10**6),
        Described("0, or a whole number of at least 50 and at most 1000000"),
        Default(0),
    ]
    observations_per_job: Annotated[int, Ge(1), Default(200)]
    objects_per_job: Annotated[int, Ge(1), Default(5000)]
    strict: Annotated[bool, Default(False)]
    thresholds: dict[str, dict[str, Any]]
    if_quick: dict[str, Any]
