"""Plain functions as simulators."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sbi_pipeline import study
from sbi_pipeline.campaigns.functions import takes_many
from sbi_pipeline.campaigns.given_rows import Engine
from sbi_pipeline.campaigns.settings import Limits
from sbi_pipeline.model import Model
from sbi_pipeline.observation_files import read_observation
from sbi_pipeline.study.simulations import simulations_of

ROOT = Path(__file__).parents[1]
ENTRIES = {name: {"type": "uniform", "min": 0, "max": 1} for name in "ab"}
STUDY = """\
campaigns:
  plain:
    simulator: sims:simulate
    options: {noise: 0.1}
    simulations: 6000
    priors:
      offset: {type: normal, mean: 0, sd: 0.5}
      slope: {type: normal, mean: 0, sd: 1}
    inferred_parameters: [slope]
    nuisance_parameters: [offset]
    observations:
      day: {file: day.csv}
    dask: {workers: 2}
    limits: {isolate: true}
estimators:
  npe: {method: npe}
calibration: {simulations: 100, draws: 100}
"""
SIMS = """\
def simulate(parameters, rng, noise: float = 1.0):
    offset, slope = parameters
    return float(offset + 2 * slope + noise * rng.normal())

class Nameless:
    def __call__(self, parameters, rng):
        return parameters

instance = Nameless()
none = 3

def single(parameters):
    return parameters

def backwards(rng, parameters):
    return parameters + rng.normal()
"""


def model(name: str, **options: float) -> Model:
    return Model(f"functions_for_tests:{name}", options, ("a", "b"), ENTRIES)


@pytest.mark.parametrize(
    ("name", "many"),
    [
        ("number", False),
        ("unpacked", False),
        ("shared_noise", False),
        ("row_lambda", False),
        ("nameless", False),
        ("named", False),
        ("rare", False),
        ("columns", True),
        ("images", True),
        ("loud_columns", True),
        ("says_many", True),
    ],
)
def test_whether_it_takes_many_rows_is_found_out_by_calling_it(name: str, many: bool) -> None:
    assert takes_many(model(name), Limits()) is many


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "unclear",
            r"shape \(2,\) for a row, and of \(1,\) for each .* unclear.vectorised = False",
        ),
        ("broken", r"neither with a row, .* \(2,\) \(RuntimeError: no luck\), nor with many"),
    ],
)
def test_what_cannot_be_found_out_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        takes_many(model(name), Limits())


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("number", {}, (1,)),
        ("columns", {"noise": 2.0}, (1,)),
        ("unpacked", {"noise": 2.0}, (3,)),
        ("nameless", {"noise": 2.0}, (3,)),
        ("images", {}, (3, 4)),
        ("says_many", {}, (2,)),
    ],
)
def test_data_have_rows_and_an_axis(name: str, options: dict, shape: tuple[int, ...]) -> None:
    rows = model(name).build_prior().from_uniform(np.full((50, 2), 0.5))
    with Engine(model(name, **options), "observe/simulate") as engine:
        made = engine.replicate(rows, seed=1)
    assert made.worked.all()
    assert made.x.shape == (50, *shape)
    assert len(np.unique(made.x.reshape(50, -1)[:, -1])) == 50  # each has noise of its own


def test_options_are_keyword_arguments_of_every_call() -> None:
    row = np.array([0.5, 0.5])
    loud, quiet = (
        model("unpacked", noise=noise).build_simulator()(row, np.random.default_rng(1))[2]
        for noise in (3.0, 1.0)
    )
    assert loud == pytest.approx(3 * quiet)


def test_names_are_those_given() -> None:
    assert model("unpacked").build_simulator().parameters == ("a", "b")


def test_a_file_of_one_number_is_data_of_one_element(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text("1.5\n")
    np.testing.assert_array_equal(read_observation(tmp_path / "day.csv"), [1.5])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "sims", raising=False)
    (tmp_path / "sims.py").write_text(SIMS)
    (tmp_path / "day.csv").write_text("1.5\n")
    return tmp_path


def campaign(text: str) -> dict:
    Path("config.yaml").write_text(text)
    return study.load_configuration(["config.yaml"])["campaigns"]["plain"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("noise: 0.1", "nose: 0.1", "options.nose: unknown key; did you mean 'noise'"),
        ("noise: 0.1", "noise: loud", "options.noise: got 'loud'; wanted a number"),
        (
            "sims:simulate\n    options: {noise: 0.1}",
            "sims:single",
            "'sims:single' cannot be made: .*too many positional .* wanted def simulate",
        ),
        (
            "sims:simulate\n    options: {noise: 0.1}",
            "sims:backwards",
            "its first argument is 'rng'; wanted def simulate",
        ),
        ("sims:simulate", "sims:none", "'sims:none' is no class"),
        (
            "sims:simulate\n    options: {noise: 0.1}",
            "sims:Nameless",
            "'sims:Nameless' has no parameters; write parameters = ",
        ),
        ("      slope:", '      "s*":', "priors: 's\\*' of priors names no parameters"),
        ("sims:simulate", "sims:instance", "options.noise: unknown key"),
    ],
)
def test_refused_in_one_line(folder: Path, old: str, new: str, message: str) -> None:
    assert STUDY.count(old) == 1
    with pytest.raises(ValueError, match=message) as refused:
        campaign(STUDY.replace(old, new))
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["simulate", "instance"])
def test_names_are_those_of_the_priors_in_their_order(folder: Path, name: str) -> None:
    text = STUDY.replace("    options: {noise: 0.1}\n", "").replace(":simulate", f":{name}")
    made = simulations_of(campaign(text), 6000)
    assert made.model["parameters"] == ["offset", "slope"]


def test_the_key_follows_code_options_and_order(folder: Path) -> None:
    def key(text: str = STUDY) -> str:
        return simulations_of(campaign(text), 6000).spec.key

    first = key()
    Path("sims.py").write_text("# a comment\n" + SIMS)
    assert key() == first
    swapped = STUDY.replace("[slope]", "[none]").replace("[offset]", "[slope]")
    assert key(swapped.replace("[none]", "[offset]")) == first  # what is inferred changes no row
    offset, slope = STUDY.splitlines()[6:8]
    other_order = STUDY.replace(f"{offset}\n{slope}", f"{slope}\n{offset}")
    assert len({first, key(other_order), key(STUDY.replace("0.1", "0.2"))}) == 3
    Path("sims.py").write_text(SIMS.replace("2 * slope", "3 * slope"))
    assert key() != first


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_study_of_a_plain_function_finds_its_posterior(folder: Path) -> None:
    (folder / "config.yaml").write_text(STUDY)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    done = subprocess.run(
        [*command, "--configfile", "config.yaml", "--cores", "2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "results/plain/report.html").is_file()
    file = folder / "results/plain/npe/day/posterior.nc"
    draws = xr.open_datatree(file, engine="h5netcdf")["posterior"]["slope"].to_numpy()
    variance = 2.0**2 + 0.5**2 + 0.1**2  # of the datum
    mean, sd = 2 * 1.5 / variance, np.sqrt(1 - 4 / variance)
    assert draws.mean() == pytest.approx(mean, abs=0.15 * sd)
    assert draws.std() == pytest.approx(sd, rel=0.1)
