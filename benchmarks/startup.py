"""What a job costs before its stage begins: ``python benchmarks/startup.py [--repeat N]``.

Runs the tiny study of ``tests/config.yaml`` once and keeps the scripts that Snakemake writes for
its jobs: its own preamble, then ``workflow/scripts/stage.py``. Each is then run again, as a job
runs it, up to the call of the stage. CPU seconds are user and system time of that process, the
least of N. Beside them, those of a process that goes on to import all that a job of this stage had
imported when it ended, of its jobs the one with most; and the packages of these that took longest,
from ``-X importtime``.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGETS = {
    "observe": 1.0,
    "sample_prior": 1.0,
    "manifest": 1.0,
    "simulate": 1.5,
    "train": 3.0,
    "calibrate": 3.0,
    "sample": 3.0,
    "diagnose": 3.5,
    "report": 3.5,
    "index": None,
}
END = "######## snakemake preamble end #########\n"
LEAVE = """
import contextlib as _contextlib
import gc as _gc
import importlib as _importlib
import os as _os
from sbi_pipeline import registry as _registry
_load = _registry.load_part
def _leave(name, table):
    made = _load(name, table)
    if table is _registry.STAGES:
        if "LATER" not in _os.environ:
            _os._exit(0)
        _gc.freeze()  # as `startup.uncollected` ends
        _gc.enable()
        for each in open(_os.environ["LATER"]).read().split():
            with _contextlib.suppress(Exception):
                _importlib.import_module(each)
        raise SystemExit(0)
    return made
_registry.load_part = _leave
"""
TIMED = re.compile(r"import time:\s+(\d+) \|\s+\d+ \| +(\S+)")
HEAVY = (
    *("arviz", "arviz_stats", "dask", "distributed", "emcee", "h5netcdf", "jinja2", "matplotlib"),
    *("nflows", "numpy", "pandas", "psutil", "scipy", "scipy.stats", "sklearn", "torch", "xarray"),
    *("zarr", "torch._dynamo", "snakemake"),
)


def study(folder):
    """Make the tiny study; return what its jobs said of their imports, by the name of the rule."""
    for name in ("config.yaml", "tiny.py"):
        shutil.copy(ROOT / "tests" / name, folder)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", "config.yaml", "--cores", "1", "--skip-script-cleanup"]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(folder) | {"PYTHONPROFILEIMPORTTIME": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return told(done.stderr)


def environment(folder):
    path = os.pathsep.join([str(folder), str(ROOT)])
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def told(text):
    """Return the imports of the job with most of each rule: seconds by module, in order."""
    found, before = {}, 0
    for end in re.finditer(r"Finished jobid: \d+ \(Rule: (\w+)\)", text):
        last = timed(text[before : end.start()].rsplit("imported package", 1)[-1])
        found[end[1]] = max(found.get(end[1], {}), last, key=len)
        before = end.end()
    return found


def timed(text):
    """Return the seconds that each module took by itself, of what ``-X importtime`` printed."""
    return {module: int(own) / 1e6 for own, module in TIMED.findall(text)}


def scripts(folder):
    """Return one script for each rule, cut off where the stage would begin."""
    found = {}
    for path in sorted((folder / ".snakemake" / "scripts").glob("*.stage.py")):
        head, body = path.read_text().split(END)
        cut = path.with_suffix(".cut.py")
        cut.write_text(head + END + LEAVE + body)
        asked = f"{head}{END}print(snakemake.rule)\n"
        rule = subprocess.check_output(
            [sys.executable, "-c", f"__file__ = ''\n{asked}"], cwd=folder, text=True
        ).strip()
        found[rule] = cut
    return found


def cost(command, folder, repeat, later=None):
    """Return the least CPU seconds that a process took, with modules that it imports later."""
    took, more = [], {}
    if later is not None:
        (folder / "later").write_text("\n".join(later))
        more["LATER"] = str(folder / "later")
    for _ in range(repeat):
        process = subprocess.Popen(command, cwd=folder, env=environment(folder) | more)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"{command} failed")
        took.append(usage.ru_utime + usage.ru_stime)
    return min(took)


def heaviest(modules, most=6):
    """Return the packages that took longest, each without the other packages inside it."""
    own = dict.fromkeys(HEAVY, 0.0)
    for module, seconds in modules.items():
        parts = module.split(".")
        names = [".".join(parts[: depth + 1]) for depth in range(len(parts))]
        for name in reversed(names):
            if name in own:
                own[name] += seconds
                break
    ordered = sorted(own.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {seconds:.2f}" for name, seconds in ordered[:most] if seconds > 0.02)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole, cut = study(folder), scripts(folder)
        print("| stage | CPU seconds to its call | with all it imports | at most | heaviest, s |")
        print("|---|---|---|---|---|")
        bare = cost([sys.executable, "-c", "pass"], folder, repeat)
        print(f"| bare Python | {bare:.2f} | | | |")
        preamble = cut["observe"].with_name("preamble.py")
        preamble.write_text(cut["observe"].read_text().split(END)[0])
        alone = cost([sys.executable, str(preamble)], folder, repeat)
        print(f"| Snakemake's preamble alone | {alone:.2f} | | | |")
        for stage, target in TARGETS.items():
            command = [sys.executable, str(cut[stage])]
            called = cost(command, folder, repeat)
            ended = cost(command, folder, repeat, later=whole[stage])
            print(
                f"| {stage} | {called:.2f} | {ended:.2f} | {target or ''} | "
                f"{heaviest(whole[stage])} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
