"""What is wrong with a configuration is said before any job: file, line, what was wanted."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sbi_pipeline import study

TESTS = Path(__file__).parent
TINY = (TESTS / "config.yaml").read_text()

LEVEL = "    simulator: tiny:Tiny\n"
MOCK = "      mock: {parameters: {slope: 0.5}}\n"
NPE = "    training: {max_epochs: 2}\n  nle:"
NLE = "    sampler: {ensembles: 2, walkers: 8, min_steps: 20, max_steps: 40}\n"
SLOPE = "      slope: {type: normal, mean: 0, sd: 1, unit: m/s}\n"
SCATTER = "      scatter: {type: halfnormal, sd: 0.3}\n"
CALIBRATION = "  sampler: {ensembles: 2, walkers: 8, min_steps: 20, max_steps: 20}\n"
LAST = "predictive_draws: 100\n"


def campaign(line: str) -> tuple[str, str]:
    """Write a line into the campaign."""
    return LEVEL, f"{LEVEL}    {line} # !\n"


def scatter(entry: str) -> tuple[str, str]:
    return SCATTER, f"      scatter: {entry} # !\n"


def observation(entry: str) -> tuple[str, str]:
    return MOCK, f"      mock: {entry} # !\n"


def joined(names: str) -> tuple[str, str]:
    return MOCK, f"{MOCK}      both: {{joined: {names}}} # !\n"


def prior(entry: str) -> tuple[str, str]:
    return SLOPE, f"      slope: {entry} # !\n"


def npe(lines: str) -> tuple[str, str]:
    """Write lines into the entry of an NPE."""
    return NPE, f"    {lines} # !\n  nle:"


def network(options: str) -> tuple[str, str]:
    return npe(f"network: {options}")


def nle(lines: str) -> tuple[str, str]:
    """Write lines into the entry of an NLE."""
    return NLE, f"    {lines} # !\n"


def cmpe(options: str) -> tuple[str, str]:
    return "    method: npe\n", f"    method: cmpe\n    network: {options} # !\n"


def training(options: str) -> tuple[str, str]:
    return npe(f"training: {options}")


def sampler(options: str) -> tuple[str, str]:
    """Write options of the sampler of NLE."""
    return NLE, f"    sampler: {options} # !\n"


def end(lines: str) -> tuple[str, str]:
    return LAST, f"{lines} # !\n"


# (what is replaced in tests/config.yaml, by what; its line marked "# !"), what is said of it
OPTIONS = [
    (network("{hiden: 6}"), r"network.hiden: unknown key; did you mean 'hidden'\? npe takes bins"),
    (network("{hidden: 1000000}"), r"hidden: got 1000000; .* whole number .* at most 16384"),
    (network("{hidden: 0}"), "hidden: got 0; wanted a whole number of at least 1"),
    (network("{hidden: 32.5}"), "hidden: got 32.5; wanted a whole number"),
    (network("{hidden: wide}"), "hidden: got 'wide'; wanted a whole number"),
    (network("{hidden: true}"), "hidden: got true; wanted a whole number"),
    (network("{hidden: [32, 64]}"), r"hidden: got \[32, 64\]; wanted a whole number"),
    (network("{hidden: null}"), "hidden: got null; wanted a whole number"),
    (network("{flow: nfs}"), r"flow: got 'nfs'; did you mean 'nsf'\? wanted one of nsf, nsf_ar"),
    (network("{flow: maf, bins: 8}"), "network.bins: unknown key; .* takes blocks"),
    (network("{bins: 1}"), "bins: got 1; wanted a whole number of at least 2"),
    (network("{bound: -5}"), "bound: got -5; wanted a number above 0"),
    (network("{transform: logg}"), r"transform: got 'logg'; did you mean 'log'\? wanted one of"),
    (network("{linear: 'false'}"), "linear: got 'false'; wanted true or false or auto"),
    (network("{linear: 1}"), "linear: got 1; wanted true or false or auto"),
    (network("{linear: maybe}"), "linear: got 'maybe'; wanted true or false or auto"),
    (network("{columns: [0, -1]}"), r"columns\[1\]: got -1; wanted a whole number of at least 0"),
    (
        network("{columns: some}"),
        "columns: got 'some'; wanted a list of one or more different whole",
    ),
    (network("{columns: []}"), r"columns: got \[\]; wanted a list of one or more different whole"),
    (
        network("{columns: [0, 0]}"),
        r"columns: got \[0, 0\]; .* of at least 0 or null or auto or all",
    ),
    (nle("network: {columns: []}"), r"nle.network.columns: got \[\]; wanted a list of one or more"),
    (network("{columns: [1, 4]}"), r"network: columns has 4; x has 4 elements, which are counted"),
    (nle("network: {columns: [9]}"), "nle.network: columns has 9; x has 4 elements"),
    (network("{columns: [1], embedding: deep_set}"), r"x has shape \(1,\); a set of events has"),
    (network("{embedding: cnn2d}"), r"network: x has shape \(4,\); a 2-d convolution takes 2 axes"),
    (network("{embedding: deep_set}"), r"network: x has shape \(4,\); a set of events has shape"),
    (network("{embedding: {name: point_cloud}}"), r"x has shape \(4,\); a set of events has shape"),
    (
        network("{embedding: {name: set_transformer, hidden: 65}}"),
        r"network: x has shape \(4,\); a set of events",
    ),
    (
        network("{embedding: {name: mlp, mask: true}}"),
        "network: mask is of sets of events, and mlp takes none; remove it",
    ),
    (network("{embedding: mpl}"), r"embedding: got 'mpl'; did you mean 'mlp'\? wanted one of none"),
    (network("{embedding: {name: cnn3d}}"), r"embedding.name: got 'cnn3d'; did you mean 'cnn"),
    (network("{embedding: {hidden: 3}}"), "embedding: 'name' is missing; wanted one of none"),
    (network("{embedding: {name: mlp, hiden: 3}}"), r"embedding.hiden: unknown key; .* mlp takes"),
    (network("{embedding: {name: cnn1d, kernel: 4}}"), "kernel: got 4; wanted an odd number"),
    (network("{embedding: {name: point_cloud, round: 1}}"), "did you mean 'rounds'"),
    (network("{embedding: no_module:Own}"), "embedding: .*importing 'no_module' failed"),
    (network("{members: 1e9}"), "members: got 1000000000.0; .* of at least 1 and at most 1000"),
    (network("{members: 0}"), "members: got 0; wanted a whole number of at least 1"),
    (network("{rows: 100}"), "network.rows: unknown key"),
    (network("[hidden]"), r"network: got \[\"hidden\"\]; wanted"),
    (training("{max_epoch: 6}"), r"max_epoch: unknown key; did you mean 'max_epochs'\? training"),
    (training("{max_epochs: 0}"), "max_epochs: got 0; wanted a whole number of at least 1 or null"),
    (training("{batch_size: -1}"), "batch_size: got -1; wanted a whole number of at least 1"),
    (training("{learning_rate: 0}"), "learning_rate: got 0; wanted a number above 0"),
    (training("{learning_rate: 1e-3x}"), "learning_rate: got '1e-3x'; wanted a number above 0"),
    (training("{learning_rate: .inf}"), "learning_rate: got .*; wanted a number"),
    (training("{schedule: onecycle}"), "schedule: got 'onecycle'; did you mean 'one_cycle'"),
    (training("{device: gpu}"), "device: got 'gpu'; wanted auto or cpu or cuda"),
    (training("{compile: perhaps}"), "compile: got 'perhaps'; wanted true or false or auto"),
    (training("{memory: 2 gigs}"), "memory: got '2 gigs'; wanted bytes above 0, .* '2 GB'"),
    (training("{checkpoint: here}"), "checkpoint: unknown key"),
    (training("{failures: model}"), "failures: has no effect: npe learns the posterior"),
    (training("{grid: {networks: {hidden: [8]}}}"), "grid has 'networks'; it can have network and"),
    (training("{grid: {}}"), "training.grid: nothing varies; wanted two values or more of some"),
    (training("{grid: {network: {}}}"), "training.grid: nothing varies; wanted two values or more"),
    (training("{grid: {network: {hidden: [8]}}}"), "training.grid: nothing varies; wanted two"),
    (training("{grid: [8, 8]}"), r"training.grid: got \[8, 8\]; wanted options of network and"),
    (training("{grid: {network: {hidden: [8, 8]}}}"), "hidden is .8, 8.; wanted each value once"),
    (training("{grid: {network: {hidden: [8, 8.0]}}}"), "hidden is .*; wanted each value once"),
    (training("{grid: {network: {embedding: [mlp, cnn2d]}}}"), r"grid: x has shape \(4,\); a 2-d"),
    (
        training("{max_epochs: 3, grid: {training: {max_epochs: [2, 3]}}}"),
        "training.max_epochs: has no effect: training.grid.training has it too; remove one",
    ),
    (
        (
            NPE,
            "    network: {hidden: 8} # !\n"
            "    training: {grid: {network: {hidden: [8, 9]}}}\n  nle:",
        ),
        "npe.network.hidden: has no effect: training.grid.network has it too; remove one of the",
    ),
    (training("{grid: {network: {hidden: 8}}}"), "grid.network.hidden is 8; wanted a list"),
    (training("{grid: {network: {hiden: [8]}}}"), "grid.network.hiden: unknown key; did you"),
    (training("{grid: {training: {max_epochs: [5, 0]}}}"), "grid.training.max_epochs: got 0"),
    (training("{grid: {training: {memory: [1, 2]}}}"), "grid.training.memory: unknown key"),
    (npe("sampler: {walkers: 64}"), "sampler.walkers: has no effect: npe is drawn from directly"),
    (npe("sampler: {proposal: npe}"), "sampler.proposal: has no effect: npe is drawn from"),
    (npe("sampler: {draws: 10}"), "draws: got 10; wanted a whole number of at least 100"),
    (sampler("{walkers: 7}"), "walkers: got 7; wanted an even number of at least 6"),
    (sampler("{walkers: 20000}"), "walkers: got 20000; .* even number of at least 6 and at most"),
    (sampler("{ensembles: 1e9}"), "ensembles: got .*; wanted a whole number .* at most 1000"),
    (sampler("{draws: 1e12}"), "draws: got .*; wanted a whole number .* at most 10000000"),
    (
        sampler("{min_steps: 200, max_steps: 100}"),
        "nle.sampler: min_steps is 200; wanted at most max_steps, which is 100",
    ),
    (
        sampler("{walkers: 128, prior_draws: 100}"),
        "nle.sampler: prior_draws is 100; wanted more than the walkers of an ensemble, .* 128",
    ),
    (sampler("{prior_draws: 64, walkers: 8}"), "prior_draws: got 64; .* of at least 100"),
    (sampler("{walker: 8}"), "sampler.walker: unknown key; did you mean 'walkers'"),
    (sampler("{r_hat: 1}"), "r_hat: got 1; wanted a number above 1"),
    (sampler("{ess: many}"), "ess: got 'many'; wanted a number above 0"),
    (sampler("{name: emcees}"), "sampler.name: .*'emcees'"),
    (sampler("{name: direct}"), "sampler.name: sampler 'direct' needs draws"),
    (sampler("{proposal: npo}"), "sampler.proposal: 'npo' is not trained here; .* npe, nle"),
    (sampler("{proposal: nle}"), r"sampler.proposal: 'nle' \(nle\) does not give draws"),
    (npe("method: npf"), "'method' is written twice|method: got 'npf'"),
    (npe("traning: {}"), "npe.traning: unknown key; did you mean 'training'"),
    (npe("seed: -1"), "npe.seed: got -1; wanted a whole number of at least 0"),
    (cmpe("{first_levels: 60, last_levels: 50}"), "first_levels is 60; wanted at most last_levels"),
    (cmpe("{first_levels: 60}"), "first_levels is 60; wanted at most last_levels, which is 50"),
    (cmpe("{last_levels: 1e6}"), "last_levels: got .*; wanted a whole number .* at most 1000"),
    (
        ("    method: npe\n", "    method: npo # !\n"),
        r"method: got 'npo'; did you mean 'npe'\? wanted one of .*my_module:MyClass",
    ),
    (("    method: npe\n", "    method: no_module:Own # !\n"), "importing 'no_module' failed"),
]

CAMPAIGNS = [
    (campaign("simulatoor: x"), r"simulatoor: unknown key; did you mean 'simulator'\? a campaign"),
    ((LEVEL, "    simulator: tyni # !\n"), "simulator: got 'tyni'; wanted one of influenza, .*or"),
    ((LEVEL, "    simulator: no_module:Tiny # !\n"), "importing 'no_module' failed"),
    ((LEVEL, "    simulator: tiny:Tny # !\n"), r"tiny.py has no 'Tny'; did you mean 'Tiny'\?"),
    ((LEVEL, ""), "campaigns.tiny: 'simulator' is missing; wanted one of influenza"),
    (campaign("options: {width: 3}"), "options.width: unknown key; tiny:Tiny takes none"),
    (("simulations: 2000", "simulations: many # !"), "simulations: got 'many'; wanted a whole"),
    (("simulations: 2000", "simulations: -5 # !"), "simulations: got -5; .* of at least 100"),
    (("simulations: 2000", "simulations: 1.5e2.5 # !"), "simulations: got '1.5e2.5'; wanted"),
    (("simulations: 2000", "simulations: 100 # !"), "of 100 simulations are to calibrate with"),
    (("seed: 3", "seed: 3\n    seed: 4 # !"), "'seed' is written twice, first in line 7"),
    (("simulations: 2000", "simulations: 1e12 # !"), "simulations: got .* at most 1000000000"),
    (
        ("simulations: 2000", "simulations: 1e9 # !"),
        "1000000000 are 1000000 shards, a job each, of shard_size 1000; wanted at most 100000",
    ),
    (campaign("split: {validation: 0.9, test: 0.2}"), "split: .* together below 1"),
    (campaign("split: {validation: 0.001}"), "split.validation: .* simulations are to stop by"),
    (campaign("split: {test: 0}"), "split.test: 0 of 2000 simulations are to calibrate with"),
    (campaign("split: {validation: 1}"), "split.validation: got 1; wanted a number .* below 1"),
    (campaign("split: {train: 0.5}"), "split.train: unknown key; a split takes test, validation"),
    (campaign("limits: {time_limit: 0}"), "time_limit: got 0; wanted a number above 0"),
    (campaign("limits: {isolate: false, time_limit: 3}"), "limits.isolate: has no effect: a limit"),
    (campaign("limits: {isolate: 'no'}"), "isolate: got 'no'; wanted true or false"),
    (campaign("limits: {retry: 3}"), "limits.retry: unknown key; did you mean 'retries'"),
    (campaign("dask: {workers: 0}"), "dask.workers: got 0; wanted a whole number of at least 1"),
    (campaign("dask: {workers: 1e9}"), "dask.workers: got .*; wanted a whole number .* at most"),
    (
        campaign("dask: {cluster: 'tcp://here'}"),
        "cluster: got 'tcp://here'; .* tcp://10.0.0.1:8786",
    ),
    (campaign("dask: {cluster: 'tcp://here:port'}"), "cluster: got 'tcp://here:port'; wanted"),
    (campaign("dask: {cluster: 'tcp://here:99999'}"), "cluster: got 'tcp://here:99999'; wanted"),
    (campaign("dask: {cluster: 'tcp://he re:80'}"), "cluster: got 'tcp://he re:80'; wanted"),
    (campaign("dask: {cluster: 'http://here:80'}"), "cluster: got 'http://here:80'; wanted"),
    (campaign("dask: {cluster: slrm}"), "cluster: got 'slrm'; wanted local, slurm, or the"),
    (
        campaign("dask: {cluster: slurm, workers: 2, minimum: 5}"),
        "tiny.dask: minimum is 5; wanted 1 to workers, which is 2",
    ),
    (campaign("dask: {workers: 4, minimum: 2}"), "dask.minimum: has no effect: it is of cluster"),
    (
        campaign("dask: {cluster: tcp://here:1, workers: 4, minimum: 2}"),
        "dask.minimum: has no effect",
    ),
    (campaign("dask: {chunk_size: 150}"), "chunk_size: got 150; wanted a multiple .* which is 100"),
    (
        campaign("extra_files: [good.csv, none.csv]"),
        r"extra_files\[1\]: no such file: none.csv \(look",
    ),
    (campaign("corner: [thete]"), r"corner\[0\]: 'thete' is no inferred or derived parameter"),
    (campaign("bucket: name/prefix"), "bucket: got 'name/prefix'; wanted an address such as s3"),
    (campaign("max_failed_fraction: 50"), "got 50; wanted a number of at least 0 and at most 1"),
    (campaign("store_nuisance: never"), "store_nuisance: got 'never'; wanted true or false"),
    (campaign("code_version: 2"), "code_version: got 2; wanted text, so write it in quotes"),
    (campaign("nuisance_scope: event"), "nuisance_scope: has no effect"),
    (campaign("estimators: []"), r"tiny.estimators: got \[\]; wanted a list of one or more names"),
    (campaign("estimators: {}"), "tiny.estimators: got {}; wanted a list of one or more names"),
    (campaign("events: 'no'"), "tiny.events: got 'no'; wanted true or false"),
    (campaign("estimators: [npf]"), r"estimators: 'npf' is not among npe, nle; did you mean"),
    (("shard_size: 1000", "shard_size: 150 # !"), "shard_size 150 is no multiple of block_size"),
    (prior("{type: gauss, mean: 0, sd: 1}"), "slope.type: got 'gauss'; wanted one of uniform"),
    (prior("{type: normal, mean: 0, sd: 0}"), "slope.sd: got 0; wanted a number above 0 or an"),
    (prior("{type: normal, mean: 0}"), "priors.slope: 'sd' is missing; wanted a number above 0"),
    (prior("{type: normal, mean: 0, std: 1}"), "slope.*(std: unknown key|'sd' is missing)"),
    (prior("{mean: 0, sd: 1}"), "priors.slope: 'type' is missing; wanted one of uniform"),
    (prior("{type: uniform, min: 1, max: 1}"), "prior of 'slope'.*wanted min < max"),
    (
        prior("{type: uniform, min: 0, max: 1e400}"),
        "slope.max: got Infinity; wanted a number or an",
    ),
    (prior("{type: normal, mean: .inf, sd: 1}"), "slope.mean: got Infinity; wanted a number or an"),
    (prior("{type: normal, mean: '1e400', sd: 1}"), "slope.mean: got '1e400'; wanted a number or"),
    (prior("{type: loguniform, min: 1e-400, max: 1}"), "slope.min: got 0.0; wanted a number above"),
    (
        prior("{type: normal, mean: 1 / 0, sd: 1}"),
        "'slope': 1000 of 1000 draws are infinite or NaN",
    ),
    (prior("{type: normal, mean: exp(1000), sd: 1}"), "'slope': 1000 of 1000 draws are infinite"),
    (prior("{type: normal, mean: log(-1), sd: 1}"), "'slope': 1000 of 1000 draws are infinite or"),
    (
        prior("{type: normal, mean: 1e308, sd: 1e308}"),
        "slope': .* of 1000 draws are infinite or NaN",
    ),
    (prior("{type: uniform, min: -1e308, max: 1e308}"), "'slope': 1000 of 1000 draws are infinite"),
    (prior("{type: lognormal, mean: 1000, sd: 1}"), "'slope': 1000 of 1000 draws are infinite or"),
    (
        prior("{type: lognormal, mean: 0, sd: 1000}"),
        "'slope': .* of 1000 draws are infinite or NaN",
    ),
    (
        prior("{type: gamma, shape: 1e-10, scale: 1}"),
        "'slope': .* draws are the same number, rounded",
    ),
    (prior("{type: normal, mean: arctan2(1), sd: 1}"), "arguments of arctan2: got 1, wanted 2"),
    (
        scatter("{type: halfnormal, sd: slope}"),
        r"priors.scatter: .* got sd = -[\d.]+; wanted sd > 0",
    ),
    (
        scatter("{type: normal, mean: log(slope), sd: 1}"),
        "'scatter': .* of 1000 draws are infinite",
    ),
    (prior("{type: normal, mean: offset, sd: 1}"), "slope: depends on 'offset', which is not"),
    (prior("{type: normal, mean: \"__import__('os')\", sd: 1}"), "slope: .*not understood"),
    (prior("{type: normal, mean: 0 +, sd: 1}"), "slope: '0 \\+' is not an expression"),
    (
        (SLOPE, "      slope: {type: bernoulli, probability: 0.5}\n"),
        "'slope' is discrete, and 'npe'",
    ),
    (prior("{type: categorical, probabilities: [1]}"), "a list of two or more numbers"),
    (prior("[normal, 0, 1]"), "priors.slope: got .*; wanted"),
    ((SLOPE, ""), "priors: no prior for 'slope'"),
    (
        (SLOPE, f"{SLOPE}      ofset: {{type: normal, mean: 0, sd: 1}} # !\n"),
        "did you mean 'offset'",
    ),
    (("parameters: [slope]", "parameters: [slop] # !"), "'slop' is not a parameter of the simul"),
    (
        ("parameters: [slope]", "parameters: slope # !"),
        "inferred_parameters: got 'slope'; wanted a",
    ),
    (("parameters: [slope]", "parameters: [slope, slope] # !"), "one or more names, each once"),
    (("parameters: [slope]", "parameters: [] # !"), "inferred_parameters: got .*; wanted"),
    (
        ("[offset, scatter]", "[offset, scatter, slope] # !"),
        "'slope' is both inferred and nuisance",
    ),
    (("[offset, scatter]", "[offset]"), "'scatter' is in none of inferred_parameters, nuisance"),
    (campaign("derived_parameters: {twice: {expression: 2 * offset}}"), "'offset' is not inferred"),
    (campaign("derived_parameters: {twice: {expression: 2 *}}"), "'2 \\*' is not an expression"),
    (
        campaign("derived_parameters: {a: {expression: slope / 0}}"),
        "'slope / 0' is infinite or NaN",
    ),
    (
        campaign("derived_parameters: {a: {expression: '2'}}"),
        "'2' is of no inferred parameter; inf",
    ),
    (
        campaign("derived_parameters: {a: {expression: 'log(slope, 2)'}}"),
        r"derived_parameters.a: 'log\(slope, 2\)': number of arguments of log: got 2, wanted 1",
    ),
    (
        campaign("derived_parameters: {a: {label: a}}"),
        "'expression' is missing; wanted text: Such as 'beta / gamma'$",
    ),
    (campaign("derived_parameters: {slope: {expression: slope}}"), "give the derived one another"),
    (
        campaign("derived_parameters: {chain: {expression: slope}}"),
        "'chain' cannot name a parameter",
    ),
    (campaign("derived_parameters: {a/b: {expression: slope}}"), "'a/b' cannot name a parameter"),
    (campaign("derived_parameters: {.a: {expression: slope}}"), "'.a' cannot name a parameter"),
    (campaign('derived_parameters: {"a ": {expression: slope}}'), "'a ' cannot name a parameter"),
    (
        campaign("derived_parameters: {\uff53lope: {expression: slope}}"),
        r"parameters 'slope' \('slope'\) and '\uff53lope' .* look alike; give one of them another",
    ),
    (
        prior("{type: normal, mean: 0, sd: 1, periodic: true}"),
        "periodic wants a continuous prior between two numbers, .*, and this one has no two ends",
    ),
    (prior("{type: uniform, min: 0, max: 1, periodic: 3}"), "periodic: got 3; wanted true or"),
    (prior("{type: sine, min: 0, max: 4}"), "wanted 0 <= min < max <= pi"),
    (
        prior("{type: powerlaw, exponent: -1, min: 0, max: 4}"),
        "min > 0 where the exponent is -1 or less",
    ),
    (prior("{type: uniform, min: 1, max: 1.0000000000000004}"), "are the same number, rounded"),
    (campaign("data: {axes: {}}"), "data.axes: unknown key; did you mean 'axis'"),
    (observation("{file: none.csv}"), "file: observation none.csv: no such file"),
    (observation("{file: nan.csv}"), "nan.csv is empty, NaN or infinite, first at index"),
    (observation("{file: complex.npy}"), "is complex; wanted real numbers: stack real and imag"),
    (observation("{file: empty.csv}"), "observation empty.csv could not be read: it is empty"),
    (
        observation("{file: words.csv}"),
        "words.csv could not be read: .* wanted a number",
    ),
    (observation("{parameters: {slpe: 1}}"), "'slpe' is none of slope, .*; did you mean 'slope'"),
    (observation("{parameters: {slope: steep}}"), "slope: got 'steep'; wanted a number"),
    (
        observation("{file: good.csv, parameters: {slope: 1}}"),
        "one of 'file', 'parameters', 'table'",
    ),
    (
        observation("{file: short.csv}"),
        r"short.csv has shape \(3,\); the simulator's data have \(4,",
    ),
    (observation("{file: image.npy}"), r"image.npy has shape \(2, 4\); the simulator's data have"),
    (
        observation("{parameters: {slope: 0.5, offset: 3}}"),
        "mock.parameters.offset: got 3; its prior reaches from -1 to 1: widen it, or leave this",
    ),
    (observation("{parameters: {slope: .nan}}"), "parameters.slope: got NaN; wanted a number"),
    (observation("{parameters: {slope: 0}, events: 1e9}"), "events: got .* at most 10000000"),
    (observation("{}"), "observations.mock: wanted one of 'file', 'parameters', 'table'"),
    (
        observation("{file: good.csv, truth: {offset: 3}}"),
        "offset: got 3; its prior reaches from -1",
    ),
    (observation("{parameters: {slope: 1}, truth: {slope: 1}}"), "'truth' is for a file"),
    (observation("{file: good.csv, columns: [flux]}"), "its columns have no names, such as 'flux'"),
    (observation("{file: lc.csv}"), r"lc.csv has shape \(4, 2\).* columns are time, flux: say in"),
    (observation("{file: lc.csv, columns: [flx]}"), "no column 'flx'; did you mean 'flux'"),
    (
        observation("{parameters: {slope: 1}, columns: [flux]}"),
        "mock.columns: has no effect: it is for a file or a table",
    ),
    (campaign("data: {axis: {values: lc.csv}}"), r"axis.values: .* values of shape \(4, 2\)"),
    (campaign("data: {axis: {values: [1, 2]}}"), r"of shape \(2,\); the data have 4 elements"),
    (campaign("data: {axis: {values: [1], step: 2}}"), "axis.step: has no effect: 'values' says"),
    (campaign("data: {axis: {column: time}}"), "axis.column: has no effect: it is of a file in"),
    (observation("{file: good.csv, seed: 1}"), "seed: has no effect: a file has no seed"),
    (observation("{parameters: {slope: 1}, events: 3}"), "'events' says how many to simulate"),
    (
        joined("[mock, mok]"),
        r"both.joined\[1\]: 'mok' is not among mock, both",
    ),
    (joined("[mock, both]"), "'both' is joined itself; wanted observations of one data set"),
    (joined("[mock]"), "joined: got mock; wanted two or more, each once"),
    (joined("[mock], seed: 1"), "seed: has no effect: the observations that are joined have their"),
    (joined("[mock], columns: [a]"), "columns: has no effect: the observations that are joined"),
    (observation("{table: none.csv}"), "mock.table: table none.csv: no such file"),
    (
        observation("{table: stars.csv}"),
        "stars.csv: column 'name', first entry: got 'sun'; wanted a number",
    ),
    (observation("{table: stars.csv, name: nme}"), "no column 'nme' .*; did you mean 'name'"),
    (
        observation("{table: stars.csv, name: name}"),
        r"table stars.csv: an object has data of shape \(5,\); the simulator's have \(4,\)",
    ),
    (
        observation("{table: stars.csv, name: name, columns: [a, b, e]}"),
        "no column 'e' .*; there are name, a, b, c, d, t",
    ),
    (
        observation("{table: stars.csv, name: name, truth: {slpe: t}}"),
        "truth.slpe: 'slpe' is none of slope, .*; did you mean 'slope'",
    ),
    (
        observation("{table: stars.csv, name: name, truth: {slope: 0.5}}"),
        "truth.slope: wanted the name of a column of the table",
    ),
    (observation("{file: good.csv, truth: {slope: t}}"), "truth.slope: wanted a number; the name"),
    (observation("{file: good.csv, draws: 100}"), "draws: has no effect: it is for a table"),
    (observation("{table: stars.csv, seed: 1}"), "seed: has no effect: it is for one data set"),
    (observation("{table: stars.csv, draws: 5}"), "draws: got 5; wanted a whole number of at"),
    (
        observation("{table: stars.csv, file: good.csv}"),
        "wanted one of 'file', 'parameters', 'table'",
    ),
    (
        (MOCK, "      a b: {parameters: {slope: 1}} # !\n"),
        "observations.a b: got 'a b'; wanted a name",
    ),
]

THE_REST = [
    (("  tiny:\n", "  simulations: # !\n"), "got 'simulations'; wanted a name .* none of simul"),
    (("  tiny:\n", "  1st: # !\n"), "campaigns.1st: got '1st'; wanted a name of letters"),
    (end("predictive_draw: 100"), "predictive_draw: unknown key; did you mean 'predictive_draws'"),
    (
        end("predictive_draws: 5"),
        "predictive_draws: got 5; wanted auto, 0, or a whole number of at least 10",
    ),
    (end("predictive_draws: 1e12"), "predictive_draws: got .*; .* at most 10000000"),
    (
        end("predictive: {nuisances: likelihood}"),
        "predictive.nuisances: got 'likelihood'; wanted posterior or prior",
    ),
    (end("predictive: {nuisance: prior}"), "nuisance: unknown key; did you mean 'nuisances'"),
    (end("predictive: prior"), "predictive: got 'prior'; wanted a mapping"),
    (
        (LAST, "predictive_draws: 0\npredictive: {nuisances: prior} # !\n"),
        "predictive: has no effect: predictive_draws is 0; remove one of the two",
    ),
    (end("strict: 'yes'"), "strict: got 'yes'; wanted true or false"),
    (end("strict: perhaps"), "strict: got 'perhaps'; wanted true or false"),
    (end("thresholds: {sampleng: {ess: [1, 2]}}"), "unknown diagnostic; did you mean 'sampling'"),
    (
        end("thresholds: {sampling: {rhat: [1, 2]}}"),
        "sampling.rhat: unknown key; did you mean 'r_h",
    ),
    (end("thresholds: {sampling: {r_hat: 1.1}}"), r"r_hat: got 1.1; wanted \[warn, fail\]"),
    (end("thresholds: {sampling: {r_hat: [1.1, 1.01]}}"), "contradict each other; .* so larger"),
    (end("thresholds: {training: {warn: [1, 2]}}"), r"warn: got \[1, 2\]; wanted one number"),
    (
        (CALIBRATION, "  sampler: {walker: 8} # !\n"),
        "calibration.sampler.walker: unknown key; did you mean 'walkers'",
    ),
    (
        (CALIBRATION, "  sampler: {proposal: npe} # !\n"),
        "calibration.sampler.proposal: a proposal is named by the sampler of an estimator",
    ),
    (("  simulations: 40\n", "  simulations: 4 # !\n"), "calibration.simulations: got 4; wanted a"),
    (
        (CALIBRATION, "  sampler: {min_steps: 1000} # !\n"),
        "calibration.sampler: min_steps is 1000; wanted at most max_steps, which is 600",
    ),
    (
        (CALIBRATION, "  sampler: {walkers: 502} # !\n"),
        "calibration.sampler: prior_draws is 500; wanted more than the walkers .* which are 502",
    ),
    (
        ("  simulations: 40\n", "  simulations: 400 # !\n"),
        "calibration.simulations: got 400; tiny holds out 283 of 2000 simulations, and no campaign",
    ),
    (("  simulations: 40\n", "  simulation: 40 # !\n"), "did you mean 'simulations'"),
    (end("refine: {better: {proposal: npo, likelihood: nle}}"), "'npo' is not among npe, nle"),
    (end("refine: {better: {likelihood: nle}}"), "refine.better: 'proposal' is missing"),
    (end("refine: {better: {proposal: npe}}"), "priors, or both; or recalibrate: true"),
    (
        end("refine: {better: {proposal: npe, recalibrate: true, likelihood: nle}}"),
        "refine.better.recalibrate: moves draws, and likelihood weighs them",
    ),
    (
        end("refine: {better: {proposal: npe, recalibrate: true}}"),
        "recalibrate: wants ranks of 200 held-out simulations, and calibration asks for 40",
    ),
    (
        end("refine: {better: {proposal: npe, recalibrate: 3}}"),
        "refine.better.recalibrate: .*true or false",
    ),
    (
        end("refine: {better: {proposal: npe, likelihood: exact}}"),
        r"refine.better.likelihood: Tiny has no log_likelihood\(parameters, x\); name an estimator",
    ),
    (end("refine: {better: {proposal: nle, likelihood: exact}}"), "have no known density"),
    (end("refine: {npe: {proposal: npe, likelihood: nle}}"), "an estimator has this name too"),
    (
        end("refine: {better: {proposal: npe, likelihood: nle, nuisance_draws: 3}}"),
        "nuisance_draws: has no effect",
    ),
    (
        end("refine: {b: {proposal: npe, priors: {slope: {type: normal, mean: 1/0, sd: 1}}}}"),
        "refine.b.priors.slope: prior of 'slope': 1000 of 1000 draws are infinite or NaN",
    ),
    (end("sweeps: {size: {campaign: tny}}"), "'tny' is not among tiny; did you mean 'tiny'"),
    (end("sweeps: {size: {campaign: tiny, estimators: [nre]}}"), "'nre' is not among npe, nle"),
    (end("sweeps: {size: {campaign: tiny, simulations: [10]}}"), r"simulations\[0\]: got 10"),
    (
        end("sweeps: {size: {campaign: tiny, simulations: [100, 120]}}"),
        "sweeps.size.simulations: .* of 120 simulations are to calibrate with",
    ),
    (
        end("sweeps: {size: {campaign: tiny}}"),
        "sweeps.size: nothing varies; wanted simulations, rounds",
    ),
    (end("sweeps: {size: {campaign: tiny, network: {}}}"), "sweeps.size: nothing varies; wanted"),
    (
        end("sweeps: {size: {campaign: tiny, estimators: [npe], seeds: [2]}}"),
        "sweeps.size: nothing varies; wanted simulations, rounds, network or seeds with several",
    ),
    (end("sweeps: {size: {campaign: tiny, seeds: [1, 1]}}"), "seeds: got .*, each once"),
    (end("sweeps: {size: {campaign: tiny, network: {hiden: [8]}}}"), "network.hiden: unknown key"),
    (end("sweeps: {size: {campaign: tiny, network: {hidden: 8}}}"), "hidden: got 8; wanted a list"),
    (
        end("sweeps: {size: {campaign: tiny, network: {hidden: [32, 32]}}}"),
        "sweeps.size.network: two of its fits are called 'size_npe_hidden32_seed1'; wanted values",
    ),
    (
        end("sweeps: {size: {campaign: tiny, estimators: [npe], network: {bound: [1.5, 15e-1]}}}"),
        "two of its fits are called 'size_npe_bound1_5_seed1'",
    ),
    (end("if_quick: {estimators: {npe: {training: {max_epoch: 1}}}}"), "max_epoch: unknown key"),
    (("estimators:\n", "\n"), "campaigns.npe: unknown key|'estimators' is missing|campaigns.npe"),
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder that holds observations, bad ones and good ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(TESTS))
    np.savetxt("nan.csv", [1.0, np.nan, 2.0])
    np.savetxt("good.csv", [1.0, 2.0, 3.0, 4.0])
    Path("stars.csv").write_text("name,a,b,c,d,t\nsun,1,2,3,4,0.5\nvega,1,2,3,4,0.5\n")
    np.save("complex.npy", np.array([1j, 2.0]))
    np.savetxt("short.csv", [1.0, 2.0, 3.0])
    np.save("image.npy", np.ones((2, 4)))
    Path("empty.csv").write_text("")
    Path("lc.csv").write_text("time,flux\n0,1\n0.5,2\n3,3\n7,4\n")
    Path("words.csv").write_text("flux\nbright\n")


def refused(text: str) -> str:
    """Return what is said of a configuration."""
    Path("bad.yaml").write_text(text)
    with pytest.raises(study.ConfigurationError) as caught:
        study.load_configuration(["bad.yaml"])
    return str(caught.value)


@pytest.mark.parametrize(("change", "message"), [*OPTIONS, *CAMPAIGNS, *THE_REST])
def test_one_line_with_its_place(change: tuple[str, str], message: str) -> None:
    old, new = change
    assert TINY.count(old) == 1
    text = TINY.replace(old, new)
    said = refused(text)
    assert re.search(message, said)
    marked = [i for i, line in enumerate(text.splitlines(), 1) if line.endswith("# !")]
    lines = said.splitlines()
    for number in marked:
        assert any(line.startswith(f"bad.yaml:{number}: ") for line in lines)
    assert all(re.match(r"bad\.yaml:\d+: ", line) for line in lines) or not marked


FILES = [
    (b"", "1: the file is empty; wanted campaigns and estimators"),
    (b"# nothing\n", "1: the file is empty"),
    (b"- campaigns\n", "1: got a list; wanted keys: campaigns and estimators"),
    (b"campaigns\n", "1: got 'campaigns'; wanted keys"),
    (b"campaigns:\n\ttiny: {}\n", "2: a tab; wanted spaces"),
    (b"campaigns:\n  tiny:\n    simulator tiny\n    seed: 3\n", "4: .* is a colon missing in the"),
    (b"campaigns: {tiny: {seed: 3}\nestimators: {}\n", "2: while parsing a flow mapping"),
    (
        b"campaigns: {}\nestimators: {}\ncampaigns: {}\n",
        "3: 'campaigns' is written twice, first in",
    ),
    (b"campaigns: {}\ntitle: caf\xe9\n", "2: byte 0xe9 is not UTF-8; save the file as UTF-8"),
    (b"campaigns: *tiny\n", "1: .*undefined alias"),
    (b"campaigns: &a {tiny: *a}\n", "1: an alias of what it stands in"),
    (b"campaigns: !!python/name:os.system x\n", "1: the tag .* is not understood"),
    (b"campaigns: {}\n---\nestimators: {}\n", "2: expected a single document"),
    (b"campaigns: {}\n? [a, b]\n: 3\n", "2: a list or mapping as a key; wanted a name"),
    (b"campaigns: {}\nestimators: {}\n", r"1: campaigns: got no entry; wanted one or more"),
    (b"campaigns: 3\nestimators: 4\n", "1: campaigns: got 3; wanted a mapping"),
]


@pytest.mark.parametrize(("content", "message"), FILES)
def test_what_is_no_yaml_or_no_configuration(content: bytes, message: str) -> None:
    Path("bad.yaml").write_bytes(content)
    with pytest.raises(study.ConfigurationError, match=f"^bad.yaml:{message}"):
        study.load_configuration(["bad.yaml"])


def test_walkers_that_are_too_few_for_the_parameters() -> None:
    names = [f"theta_{i}" for i in range(1, 6)]
    priors = "".join(f"      {name}: {{type: normal, mean: 0, sd: 1}}\n" for name in names)
    text = (
        "campaigns:\n  line:\n    simulator: linear_gaussian\n    options: {theta_dim: 5}\n"
        f"    simulations: 1000\n    inferred_parameters: [{', '.join(names)}]\n"
        f"    priors:\n{priors}"
        "estimators:\n  nle:\n    method: nle\n    sampler: {walkers: 8}\n"
    )
    said = (
        "bad.yaml:16: estimators.nle.sampler: got 8 walkers; wanted an even number of at least 10"
    )
    assert refused(text).startswith(said)


MOONS = """
campaigns:
  moons:
    simulator: moons
    options: {options}
    simulations: 1000
    inferred_parameters: [d, sigma, t]
    priors:
      d: {{type: uniform, min: 0, max: 1}}
      sigma: {{type: halfnormal, sd: 1}}
      t: {{type: halfnormal, sd: 1}}
      points: {{type: integer, min: 50, max: 200}}
    nuisance_parameters: [points]
estimators:
  npe:
    method: npe
    network: {network}
"""


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            "{embedding: {name: set_transformer, hidden: 65}}",
            "hidden is 65; wanted a multiple of h",
        ),
        (
            "{embedding: {name: set_transformer, heads: 5}}",
            "hidden is 64; wanted a multiple of heads",
        ),
        (
            "{embedding: {name: cnn1d, mask: true}}",
            "mask is of sets of events, and cnn1d takes none",
        ),
        ("{columns: [0]}", r"x has shape \(200, 3\); columns are of vectors, so remove them"),
        ("{embedding: {name: set_transformer, mask: true}}", ""),
        ("{embedding: {name: point_cloud, mask: true}}", ""),
        ("{embedding: cnn2d}", ""),
        ("{}", ""),
    ],
)
def test_embeddings_suit_sets(network: str, message: str) -> None:
    text = MOONS.format(options="{largest: 200}", network=network)
    if message:
        assert re.match(f"bad.yaml:17: estimators.npe.network: {message}", refused(text))
    else:
        Path("config.yaml").write_text(text)
        study.load_configuration(["config.yaml"])


UNKNOWN = """
class Unknown:
    parameters = ("slope", "offset", "scatter")

    def __call__(self, parameters, rng):
        raise NotImplementedError  # a configuration is checked without simulating
"""


def test_a_file_shows_what_data_are_like(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a simulator that does not say the shape of its data."""
    Path("own_unknown.py").write_text(UNKNOWN)
    monkeypatch.syspath_prepend(".")
    text = TINY.replace("tiny:Tiny", "own_unknown:Unknown").replace(*network("{columns: [1, 4]}"))
    Path("config.yaml").write_text(text)
    study.load_configuration(["config.yaml"])
    text = text.replace(MOCK, "      first: {file: good.csv}\n      second: {file: image.npy}\n")
    assert refused(text).splitlines() == [
        "bad.yaml:16: campaigns.tiny.observations.second.file: observation image.npy has shape "
        "(2, 4), one before it (4,); wanted one shape"
    ]
    text = text.replace("      second: {file: image.npy}\n", "")
    assert refused(text).startswith("bad.yaml:21: estimators.npe.network: columns has 4; x has 4")


def test_one_name_is_a_table_everywhere_or_nowhere() -> None:
    config = yaml.safe_load(TINY)
    other = copy.deepcopy(config["campaigns"]["tiny"])
    other["observations"] = {
        "mock": {"table": "stars.csv", "name": "name", "columns": list("abcd")}
    }
    config["campaigns"]["other"] = other
    said = refused(yaml.safe_dump(config, sort_keys=False))
    assert re.search("observations.mock: 'mock' is a table here or in 'tiny'.*another name", said)


def test_a_parameter_of_a_catalogue_is_not_called_object() -> None:
    config = yaml.safe_load(TINY)
    tiny = config["campaigns"]["tiny"]
    tiny["derived_parameters"] = {"object": {"expression": "2 * slope"}}
    tiny["observations"]["mock"] = {"table": "stars.csv", "name": "name", "columns": list("abcd")}
    said = refused(yaml.safe_dump(config, sort_keys=False))
    assert "mock.table: 'object' names the objects of a catalogue" in said


def test_discrete_values_are_those_that_the_prior_has() -> None:
    text = TINY.replace(*scatter("{type: bernoulli, probability: 0.5}"))
    text = text.replace(*observation("{parameters: {slope: 0.5, scatter: 0.5}}"))
    said = (
        "bad.yaml:15: campaigns.tiny.observations.mock.parameters.scatter: got 0.5; its prior gives"
    )
    assert refused(text).startswith(said)


def test_a_sweep_of_what_an_estimator_chooses_by_itself() -> None:
    grid = "{grid: {network: {hidden: [8, 16]}}}"
    sweep = "sweeps: {size: {campaign: tiny, estimators: [npe], network: {hidden: [4, 6]}}}"
    text = TINY.replace(*training(grid)).replace(*end(sweep))
    said = (
        "bad.yaml:30: sweeps.size.network.hidden: has no effect: npe chooses hidden by its own grid"
    )
    assert refused(text).startswith(said)


QUICK = "if_quick:\n  estimators:\n    npe:\n"


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize(
    ("under", "said"),
    [
        (
            "      training: {max_epochs: 0}\n",
            "bad.yaml:34: if_quick.estimators.npe.training.max_epochs: got 0; wanted a whole",
        ),
        (
            "      method: nle\n",
            "bad.yaml:33: if_quick.estimators.npe: with network.embedding of bad.yaml:21: unknown",
        ),
    ],
)
def test_what_a_quick_run_replaces_is_named(quick: bool, under: str, said: str) -> None:
    text = TINY.replace(NPE, "    network: {embedding: mlp}\n  nle:") + QUICK + under
    Path("bad.yaml").write_text(text)
    with pytest.raises(study.ConfigurationError) as caught:
        study.load_configuration(["bad.yaml"], {"quick": quick})
    assert [line[: len(said)] for line in str(caught.value).splitlines()] == [said]


def test_warnings_of_numpy_stay_away(recwarn: pytest.WarningsRecorder) -> None:
    for entry in ("{type: normal, mean: 1 / 0, sd: 1}", "{type: lognormal, mean: 1000, sd: 1}"):
        refused(TINY.replace(*prior(entry)))
    assert not recwarn.list


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(study.ConfigurationError, match=r"^none.yaml: cannot be read: No such file"):
        study.load_configuration(["none.yaml"])


def test_the_tables_are_long_enough() -> None:
    assert len({*OPTIONS, *CAMPAIGNS, *THE_REST}) == len([*OPTIONS, *CAMPAIGNS, *THE_REST]) >= 60


def test_everything_that_is_wrong_is_said_at_once() -> None:
    said = refused(TINY.replace("simulations: 2000", "simulations: 0\n    colour: red"))
    assert [line.split(": ")[1] for line in said.splitlines()] == [
        "campaigns.tiny.simulations",
        "campaigns.tiny.colour",
    ]


def test_a_misspelt_key_is_not_missing_too() -> None:
    said = refused(TINY.replace("simulations: 2000", "simulation: 2000"))
    assert re.fullmatch(r"bad.yaml:6: campaigns.tiny.simulation: unknown key; .*", said)


def test_the_last_of_several_files_is_named() -> None:
    Path("base.yaml").write_text(TINY)
    Path("over.yaml").write_text("estimators:\n  npe:\n    training: {max_epochs: 0}\n")
    with pytest.raises(study.ConfigurationError, match=r"^over\.yaml:3: estimators.npe.training"):
        study.load_configuration(["base.yaml", "over.yaml"])
    with pytest.raises(study.ConfigurationError, match=r"^--config: strict: got 3"):
        study.load_configuration(["base.yaml"], {"strict": 3})


def test_numbers_are_numbers_however_they_are_written() -> None:
    text = (
        TINY.replace("simulations: 2000", "simulations: 2e3")
        .replace(NPE, "    training: {max_epochs: 1e1, learning_rate: 1e-3}\n  nle:")
        .replace("sd: 0.3", "sd: '3e-1'")
    )
    Path("config.yaml").write_text(text)
    for config in (
        study.load_configuration(["config.yaml"]),
        study.load_configuration(["config.yaml"], check=False),
    ):
        entry = config["campaigns"]["tiny"]
        assert entry["simulations"] == 2000
        assert isinstance(entry["simulations"], int)
        assert entry["priors"]["scatter"]["sd"] == 0.3
        assert config["estimators"]["npe"]["training"] == {"max_epochs": 10, "learning_rate": 1e-3}


def test_text_that_looks_like_a_number_is_one_where_one_is_wanted() -> None:
    Path("config.yaml").write_text(TINY)
    config = study.load_configuration(["config.yaml"])
    config["estimators"]["npe"]["training"] = {"learning_rate": "1e-3"}  # as YAML 1.1 has it
    config["campaigns"]["tiny"] |= {"simulations": "1e4", "title": "1e4"}
    for check in (True, False):
        taken = study.take_configuration(config, check)
        assert taken["estimators"]["npe"]["training"] == {"learning_rate": 0.001}
        assert taken["campaigns"]["tiny"]["simulations"] == 10_000
        assert taken["campaigns"]["tiny"]["title"] == "1e4"


def test_options_are_numbers_where_numbers_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("own_tags.py").write_text(TAGGED)
    monkeypatch.syspath_prepend(".")
    Path("config.yaml").write_text(TINY)
    config = study.load_configuration(["config.yaml"])
    config["estimators"]["own"] = {
        "method": "own_tags:Tagged",
        "network": {"tag": "12", "width": 12.0, "scale": 3.0},
        "training": {"max_epochs": 3.0, "grid": {"network": {"depth": ["4", "5"]}}},
        "sampler": {"name": "own_tags:Named", "tag": "7", "steps": "7", "draws": 1e3},
    }
    config["calibration"]["draws"] = "60"
    network = {"tag": ["3"], "width": ["3", 4.0]}
    config["sweeps"] = {"s": {"campaign": "tiny", "estimators": ["own"], "network": network}}
    config["thresholds"] = {"sampling": {"r_hat": ["1.01", 2.0]}}
    for check in (True, False):
        taken = study.take_configuration(config, check)
        found = {key: repr(each) for key, each in taken["estimators"]["own"].items()}
        assert found == {
            "method": "'own_tags:Tagged'",
            "network": "{'tag': '12', 'width': 12, 'scale': 3.0}",
            "training": "{'max_epochs': 3, 'grid': {'network': {'depth': [4, 5]}}}",
            "sampler": "{'name': 'own_tags:Named', 'tag': '7', 'steps': 7, 'draws': 1000}",
        }
        assert taken["calibration"]["draws"] == 60
        assert taken["sweeps"]["s"]["network"] == {"tag": ["3"], "width": [3, 4]}
        assert taken["thresholds"] == {"sampling": {"r_hat": [1.01, 2.0]}}


@pytest.mark.parametrize("said", [True, "true", "True", "yes"])
def test_a_quick_run_replaces(said: Any) -> None:
    """Snakemake hands on what its command line says as a text."""
    Path("config.yaml").write_text(TINY + "if_quick: {campaigns: {tiny: {simulations: 1500}}}\n")
    for quick, simulations in ((False, 2000), ("false", 2000), (said, 1500)):
        config = study.load_configuration(["config.yaml"], {"quick": quick})
        assert config["campaigns"]["tiny"]["simulations"] == simulations
    with pytest.raises(study.ConfigurationError, match="quick: got 'maybe'; wanted true or false"):
        study.load_configuration(["config.yaml"], {"quick": "maybe"})


TAGGED = """
from sbi_pipeline.estimators import Estimator
from sbi_pipeline.samplers import Sampler
from sbi_pipeline.types import Traits


class Tagged(Estimator):
    traits = Traits(target="posterior")

    def __init__(
        self, theta_dim, x_shape, *, tag: str = "", depth: int = 3, width: int = 3, scale: float = 1
    ):
        super().__init__()


class Named(Sampler):
    needs = "density"

    def __init__(self, tag: str = "", steps: int = 100):
        self.steps = steps

    def __call__(self, problem, n):
        raise NotImplementedError
"""

OWN = """
from sbi_pipeline.estimators import Estimator
from sbi_pipeline.networks.embedding import Embedding
from sbi_pipeline.samplers import Sampler
from sbi_pipeline.types import Traits


class OwnEstimator(Estimator):
    traits = Traits(target="posterior")

    def __init__(self, theta_dim, x_shape, *, depth: int = 3, **rest):
        super().__init__()


class OwnEmbedding(Embedding):
    def __init__(self, x_shape, width: int = 8):
        super().__init__()
        self.out_dim = width


class OwnSampler(Sampler):
    needs = "density"

    def __init__(self, steps: int = 100):
        self.steps = steps

    def __call__(self, problem, n):
        raise NotImplementedError
"""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("    method: npe\n", "    method: own:OwnEstimator\n    network: {depth: 2, a: 1}\n"),
            "",
        ),
        (
            ("    method: npe\n", "    method: own:OwnEstimator\n    network: {depth: two}\n"),
            "depth: got 'two'; wanted a whole number",
        ),
        (network("{embedding: {name: own:OwnEmbedding, width: 3}}"), ""),
        (network("{embedding: own:OwnEmbedding}"), ""),
        (
            network("{embedding: {name: own:OwnEmbedding, wide: 3}}"),
            "embedding.wide: unknown key; did you mean 'width'. own:OwnEmbedding takes mask",
        ),
        (sampler("{name: own:OwnSampler, steps: 10, draws: 200}"), ""),
        (
            sampler("{name: own:OwnSampler, step: 10}"),
            "sampler.step: unknown key; did you mean 'steps'. the sampler of nle takes",
        ),
        (npe("sampler: {name: own:OwnSampler, steps: 10}"), ""),
    ],
)
def test_parts_of_ones_own_are_bound_alike(
    change: tuple[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("own.py").write_text(OWN)
    monkeypatch.syspath_prepend(".")
    text = TINY.replace(*change)
    if message:
        assert re.search(message, refused(text))
    else:
        Path("config.yaml").write_text(text)
        study.load_configuration(["config.yaml"])
