"""sbibm in rounds: ``python benchmarks/sbibm/in_rounds.py FOLDER [--tasks ...] [--sbi PYTHON]``.

For each task and observation a configuration with ``rounds`` is written and `snakemake` makes its
posteriors; the last round gets what earlier ones have left of ``--total`` simulations. Methods are
scored by held-out simulations within the last box, as in choose.py, and compared with the
reference by C2ST. With ``--sbi``, the interpreter of an environment with `sbi` 0.27, its truncated
and its sequential method do the same in as many rounds as ``--sbi-rounds``, one after the other.
Lines are appended to ``FOLDER/rounds.csv``; what is there is not made again.
"""

import argparse
import csv
import json
import resource
import subprocess
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from choose import score
from run import HERE, draws_of, snakemake
from tasks import ESTIMATORS, TASKS, campaign_of, data, write_configuration

from sbi_pipeline.diagnostics.joint_agreement import c2st
from sbi_pipeline.stages.rounds import simulated_rows
from sbi_pipeline.storage.reading import open_campaign
from sbi_pipeline.trained import load

METHODS = ("npe", "nle")
SBI = ("tsnpe", "snle")
LOGNORMAL = ("lotka_volterra", "sir")
"""Tasks that sbi is given: independent lognormal priors."""
HELD_OUT, PROPOSALS = 200, 1000
OF = ("task", "observation", "method")
FOUND = ("rounds", "simulations", "volume", "score", "error", "c2st", "seconds")
COLUMNS = OF + FOUND


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    tasks = ["lotka_volterra", "sir", "slcp", "bernoulli_glm"]
    parser.add_argument("--tasks", nargs="+", default=tasks, choices=TASKS)
    parser.add_argument("--observations", nargs="+", type=int, default=[1])
    parser.add_argument("--total", type=int, default=10_000, help="simulations of all rounds")
    parser.add_argument(
        "--before", nargs="+", type=int, default=[2000, 2000], help="of rounds before the last"
    )
    parser.add_argument("--sbi", type=Path, help="interpreter of an environment with sbi")
    parser.add_argument("--sbi-rounds", type=int, default=5)
    parser.add_argument("--draws", type=int, default=2000, help="of each side of the comparison")
    return parser.parse_args()


@contextmanager
def clock():
    """Measure CPU seconds of all processes that are started."""
    spent, before = {}, resource.getrusage(resource.RUSAGE_CHILDREN)
    yield spent
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent["seconds"] = sum(
        getattr(after, key) - getattr(before, key) for key in ("ru_utime", "ru_stime")
    )


def configure(task, folder, number, before, last):
    """Write the configuration of one observation; return the name of its campaign."""
    campaign = campaign_of(task, folder)
    name, observation = f"{task}_{number}", f"observation_{number}"
    campaign["observations"] = {observation: campaign["observations"][observation]}
    campaign["split"]["test"] = 0.05  # of which boxes are widened
    rounds = {"estimator": "npe", "simulations": list(before)}
    campaigns = {name: {**campaign, "simulations": last, "rounds": rounds}}
    write_configuration(folder, campaigns, {method: ESTIMATORS[method] for method in METHODS})
    return name


def boxes_of(results, name):
    """Return the boxes of all rounds from the second on, in order."""
    paths = sorted(results.glob(f"{name}_round_*/box.json"))
    return [json.loads(path.read_text()) for path in paths]


def with_all_simulations(task, folder, number, before, total):
    """Simulate all rounds, the last with what is left; return the campaign and its boxes."""
    name = configure(task, folder, number, before, before[-1])
    snakemake(folder, [f"results/{name}/simulations.json"], cores=1)
    boxes = boxes_of(folder / "results", name)
    left = total - sum(box["before"]["simulated"] for box in boxes)
    configure(task, folder, number, before, boxes[-1]["rows"] + left)
    return name, boxes


def held_out_scores(home):
    """Return mean scores of the methods at held-out simulations in the last box, and errors."""
    made = {method: load(home / method / "estimator.pt") for method in METHODS}
    npe = made["npe"]
    reader = open_campaign(home / "simulations.json", npe.names)
    held_out = reader.collect({"test": HELD_OUT})["test"]
    z = npe.prior.to_normal(held_out.theta)
    each = {
        method: score(one.estimator, npe.estimator, z, held_out.x, PROPOSALS)
        for method, one in made.items()
    }
    return {name: (found.mean(), found.std() / len(z) ** 0.5) for name, found in each.items()}


def here(task, folder, number, given):
    """Yield a record for each method of this project; seconds are those of all methods."""
    with clock() as spent:
        name, boxes = with_all_simulations(task, folder, number, given.before, given.total)
        home = folder / "results" / name
        paths = [home / method / f"observation_{number}/posterior.nc" for method in METHODS]
        snakemake(folder, [path.relative_to(folder) for path in paths], cores=1)
    scores = held_out_scores(home)
    simulated = sum(box["before"]["simulated"] for box in boxes)
    simulated += simulated_rows(json.loads((home / "simulations.json").read_text()))
    for method, path in zip(METHODS, paths, strict=True):
        yield {
            "method": method,
            "rounds": len(boxes) + 1,
            "simulations": simulated,
            "volume": boxes[-1]["volume"],
            "score": scores[method][0],
            "error": scores[method][1],
            "draws": draws_of(path, given.draws)[1],
            **spent,
        }


def there(method, task, folder, number, given):
    """Return the record of a method of `sbi`, which simulates log parameters of a normal prior."""
    simulator, _, priors = TASKS[task]
    arrays = data(task)
    place = list(arrays["observation_numbers"]).index(number)
    path, result = folder / f"task-{number}.npz", folder / f"{method}-{number}.npz"
    normal = {key: [entry[key] for entry in priors.values()] for key in ("mean", "sd")}
    np.savez(path, simulator=simulator, x_o=arrays["observations"][place], **normal)
    command = [given.sbi, HERE / "in_rounds_sbi.py", path, method, result]
    command += [given.sbi_rounds, given.total // given.sbi_rounds, given.draws]
    quiet = subprocess.DEVNULL  # bars of progress; `sbi` writes logs where it is called
    with clock() as spent:
        subprocess.run(list(map(str, command)), check=True, cwd=folder, stdout=quiet, stderr=quiet)
    found = np.load(result)
    told = {"rounds": given.sbi_rounds, "simulations": given.total, **spent}
    return {"method": method, **told, "volume": float(found["volume"]), "draws": found["draws"]}


def records(task, number, given, known):
    """Yield records of one observation that are not known yet, with C2ST."""
    arrays = data(task)
    folder = (given.folder / f"{task}_{number}").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    place = list(arrays["observation_numbers"]).index(number)
    reference = arrays["reference_samples"][place].astype(float)
    made = iter(())
    if (task, number, METHODS[0]) not in known:
        made = here(task, folder, number, given)
    if given.sbi and task in LOGNORMAL:
        wanted = [method for method in SBI if (task, number, method) not in known]
        made = chain(made, (there(method, task, folder, number, given) for method in wanted))
    for record in made:
        value = c2st(record["draws"], reference, n=given.draws, seed=1)
        yield {**record, "task": task, "observation": number, "c2st": value}


def main():
    given = arguments()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    path = given.folder / "rounds.csv"
    if not path.is_file():
        path.write_text(",".join(COLUMNS) + "\n")
    known = set(pd.read_csv(path)[list(OF)].itertuples(index=False, name=None))
    for task in given.tasks:
        for number in given.observations:
            for record in records(task, number, given, known):
                line = [told(record.get(name, "")) for name in COLUMNS]
                with path.open("a", newline="") as file:
                    csv.writer(file).writerow(line)
                print(*line, flush=True)


def told(value):
    return f"{float(value):.4g}" if isinstance(value, float | np.floating) else str(value)


if __name__ == "__main__":
    main()
