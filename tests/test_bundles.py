"""`sbi-pipeline bundle` and `unbundle`: whole, the same bytes, nothing that leaves the folder."""

import importlib.metadata
import io
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from test_leftovers import make

from sbi_pipeline import bundles, cli, new_study, study
from sbi_pipeline.bundles import archives, texts
from sbi_pipeline.bundles.configured import Dumper
from sbi_pipeline.study import changes
from sbi_pipeline.study.places import LEFT_OUT

TESTS = Path(__file__).parent
CONFIG = TESTS / "config.yaml"
ENDINGS = ("zip", "tar.gz")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that is finished, as far as its files tell, and bundles of it."""
    home = tmp_path_factory.mktemp("bundled") / "my study"
    home.mkdir()
    shutil.copyfile(CONFIG, home / "config.yaml")
    shutil.copyfile(TESTS / "tiny.py", home / "tiny.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.syspath_prepend(str(home))
        finish()
        for ending in ENDINGS:
            pack(out=f"../it.{ending}")
    return home


@pytest.fixture
def folder(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, to work in."""
    home = tmp_path / "my study"
    shutil.copytree(finished, home)
    monkeypatch.chdir(home)
    monkeypatch.syspath_prepend(str(home))
    return home


@pytest.fixture(params=ENDINGS)
def archive(
    request: pytest.FixtureRequest,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A bundle of that folder, alone in a folder to work in."""
    monkeypatch.chdir(tmp_path)
    name = f"it.{request.param}"
    return Path(shutil.copyfile(finished.parent / name, name))


def plan(*files: str) -> study.Plan:
    return study.Plan(study.load_configuration(files or study.default_files(), check=False))


def finish() -> None:
    """Write what a finished study has in `results`."""
    planned = make(plan())
    for path, spec in planned.items():
        store, shard = Path(path), Path(path).name.removesuffix(".spec.json").rpartition("-")[2]
        if spec.stage == "simulate":
            store.with_name(f"shard-{shard}.json").write_text(json.dumps({"rows": 1000}))
            tell_outputs(store, f"shard-{shard}.json")
        if spec.stage == "sample_prior":
            store.with_name(f"prior-{shard}.zarr").mkdir(exist_ok=True)
            tell_outputs(store, f"prior-{shard}.zarr")
    told = {"paragraph": "We inferred it [@cranmer2020].", "version": "0.1.0"}
    Path("results/tiny/verdict.json").write_text(json.dumps({"methods": told}))
    Path("results/tiny/figures/corner.png").touch()
    tell_outputs(Path("results/tiny/report.spec.json"), "report.html", "figures", "verdict.json")


def tell_outputs(spec: Path, *names: str) -> None:
    spec.write_text(json.dumps({**json.loads(spec.read_text()), "outputs": names}))


def edit(change: Callable[[Any], None]) -> None:
    config = yaml.safe_load(Path("config.yaml").read_text())
    change(config)
    Path("config.yaml").write_text(yaml.dump(config, Dumper=Dumper))


def pack(*arguments: str, out: str = "../it.zip") -> Path:
    cli.main(["bundle", "results/tiny", "--out", out, *arguments])
    return Path(out)


def held(archive: Path) -> set[str]:
    return {member.name.removeprefix("tiny/") for member in archives.archived_files(archive)}


def test_a_bundle_holds_what_makes_a_study_and_what_it_made(folder: Path) -> None:
    Path("results/tiny/train.log").write_text("of this machine")
    found = held(pack())
    assert found >= {"SHA256SUMS", "README.md", "CITATION.cff", "versions.json", "constraints.txt"}
    assert found >= {"config.yaml", "tiny.py", "Snakefile", "profiles/default/profile.yaml"}
    assert found >= {"methods.txt", "references.bib", "results/tiny/report.html"}
    assert found >= {"results/tiny/npe/estimator.pt", "results/tiny/npe/mock/posterior.nc"}
    assert not [name for name in found if name.endswith(".log") or ".zarr" in name]
    (simulations,) = plan().simulations.values()
    assert f"{simulations.folder}/{LEFT_OUT}" in found
    whole = held(pack("--simulations"))
    assert f"{simulations.folder}/shard-0.zarr/zarr.json" in whole
    assert f"{simulations.folder}/{LEFT_OUT}" not in whole


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_study_is_the_same_bytes(folder: Path, finished: Path, ending: str) -> None:
    for path in folder.rglob("*"):
        path.touch()
    assert pack(out=f"it.{ending}").read_bytes() == (finished.parent / f"it.{ending}").read_bytes()


def test_an_opened_bundle_has_nothing_to_make(
    archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["unbundle", archive.name, "--into", "else where"])
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("each as its checksum says")
    assert said[1] == "all versions are those it was made with"
    assert said[-1] == "cd 'else where' && snakemake"
    monkeypatch.chdir("else where")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    sums = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], check=False)
    assert sums.returncode == 0
    assert not list(changes.changes(plan()))
    assert plan().missing_rows() == []


def test_rows_that_were_left_out_are_wanted_when_something_is_to_be_made(
    folder: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(bundles.unpack(finished.parent / "it.zip", Path("../there")))
    monkeypatch.chdir("../there")
    edit(lambda config: config["estimators"]["npe"].update(seed=7))
    found = [str(change) for change in changes.changes(plan())]
    assert any(each.endswith("prior-0.zarr is gone") for each in found)
    (said,) = plan().missing_rows()
    assert "run snakemake once more" in said
    (simulations,) = plan().simulations.values()
    for name in ("prior", "shard"):
        for shard in (0, 1):
            Path(simulations.folder, f"{name}-{shard}.zarr").mkdir()
    assert plan().missing_rows() == []


def test_what_is_not_finished_is_not_packed(folder: Path) -> None:
    Path("results/tiny/npe/estimator.pt").unlink()
    with pytest.raises(SystemExit, match=r"^results/tiny/npe/train.* run snakemake first"):
        pack()
    with pytest.raises(SystemExit, match="wanted the folder of a campaign, results/NAME"):
        cli.main(["bundle", "results/none"])
    with pytest.raises(SystemExit, match="wanted a name that ends with"):
        pack(out="it.rar")


def test_a_configuration_of_many_campaigns_is_packed_as_far_as_it_concerns(folder: Path) -> None:
    def two(config: Any) -> None:
        config["campaigns"]["other"] = {**config["campaigns"]["tiny"], "code_version": "1e-3"}
        config["campaigns"]["tiny"]["code_version"] = "1e-3"  # a text that looks like a number

    edit(two)
    finish()
    archive = pack()
    assert not [name for name in held(archive) if "results/other" in name]
    list(bundles.unpack(archive, Path("there")))
    config = study.files.read(["there/config.yaml"]).values
    assert list(config["campaigns"]) == ["tiny"]
    assert config["campaigns"]["tiny"]["code_version"] == "1e-3"
    Path("results/tiny_2").mkdir()
    with pytest.raises(SystemExit, match=r"tiny_2 is no campaign of config\.yaml"):
        cli.main(["bundle", "results/tiny_2"])


def test_comments_of_a_configuration_stay(folder: Path) -> None:
    list(bundles.unpack(pack(), Path("there")))
    assert Path("there/config.yaml").read_text() == CONFIG.read_text()


def test_files_that_are_named_are_packed_and_none_from_outside(folder: Path) -> None:
    Path("data").mkdir()
    Path("data/table.csv").write_text("1\n")
    edit(lambda config: config["campaigns"]["tiny"].update(extra_files=["data/table.csv"]))
    finish()
    assert "data/table.csv" in held(pack())
    Path("../secret.csv").write_text("1\n")
    edit(lambda config: config["campaigns"]["tiny"].update(extra_files=["../secret.csv"]))
    finish()
    with pytest.raises(SystemExit, match=r"\.\./secret\.csv, which lies outside this folder"):
        pack()


def test_modules_that_a_simulator_imports_are_packed_with_their_packages(folder: Path) -> None:
    package = Path("models")
    package.mkdir()
    (package / "__init__.py").write_text("from . import constants\n")
    (package / "constants.py").write_text("FOUR = 4\n")
    (package / "unused.py").write_text("")
    (package / "line.py").write_text("from tiny import Tiny as Line\n")
    edit(lambda config: config["campaigns"]["tiny"].update(simulator="models.line:Line"))
    finish()
    found = held(pack())
    assert found >= {"models/__init__.py", "models/constants.py", "models/line.py", "tiny.py"}
    assert "models/unused.py" not in found


def damaged(archive: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Write an archive again after some change to its files."""
    files = {member.name: member.stream.read() for member in archives.archived_files(archive)}
    change(files)
    archives.write_archive(archive, files)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.update({"tiny/tiny.py": b"evil()"}), "tiny.py is not what its checksum says"),
        (lambda f: f.update({"tiny/more.py": b"evil()"}), "more.py has no checksum"),
        (lambda f: f.pop("tiny/config.yaml"), "config.yaml is missing"),
        (lambda f: f.pop("tiny/SHA256SUMS"), "is no bundle of sbi-pipeline"),
        (lambda f: f.update({"tiny/../../out": b""}), "a path that leaves the folder"),
        (lambda f: f.update({"/etc/passwd": b""}), "a path that leaves the folder"),
        (lambda f: f.update({"tiny/..\\out": b""}), "a path that leaves the folder"),
        (lambda f: f.update({"C:/out": b""}), "a path that leaves the folder"),
        (lambda f: f.update({"tiny/.git/config": b""}), "config', which no bundle does"),
        (lambda f: f.update({"tiny/x/.Git/config": b""}), "config', which no bundle does"),
        (lambda f: f.update({"other/out": b""}), "is no bundle of sbi-pipeline"),
    ],
)
def test_what_was_changed_is_one_line_and_leaves_nothing(
    archive: Path, change: Callable[[Any], None], said: str
) -> None:
    damaged(archive, change)
    with pytest.raises(SystemExit, match=said) as error:
        cli.main(["unbundle", archive.name, "--into", "there"])
    assert str(error.value).startswith(archive.name)
    assert "\n" not in str(error.value)
    assert list(Path().iterdir()) == [archive]


def test_an_archive_cut_short_or_with_a_flipped_bit_is_damaged(archive: Path) -> None:
    whole = archive.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for content in (whole[: len(whole) // 2], bytes(flipped), b"no archive"):
        archive.write_bytes(content)
        with pytest.raises(SystemExit, match=rf"^{archive.name} is (damaged|no bundle)"):
            cli.main(["unbundle", archive.name, "--into", "there"])
        assert not Path("there").exists()


@pytest.mark.parametrize("ending", ENDINGS)
def test_any_flipped_bit_and_any_cut_is_one_line_or_harmless(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {"a.py": b"print(1)\n" * 30, "b/c.bin": bytes(range(256)) * 4}
    sums = "".join(f"{archives.sha256(content)}  {name}\n" for name, content in files.items())
    archive = Path(f"it.{ending}")
    contents = {"SHA256SUMS": sums.encode(), **files}
    archives.write_archive(archive, {f"it/{name}": each for name, each in contents.items()})
    whole, refused = archive.read_bytes(), list[str]()
    for place in range(0, len(whole), 5):
        flipped = bytearray(whole)
        flipped[place] ^= 1
        for content in (whole[:place], bytes(flipped)):
            archive.write_bytes(content)
            try:
                list(bundles.unpack(archive, Path("there")))
            except ValueError as error:
                refused.append(str(error))
                continue
            assert {name: Path("there", name).read_bytes() for name in files} == files
            shutil.rmtree("there")
    assert not [each for each in refused if "\n" in each]
    assert len(refused) > len(whole) // 5  # nearly all that are cut, and more than that


def test_links_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with tarfile.open("it.tar.gz", "w:gz") as archive:
        told = tarfile.TarInfo("tiny/link")
        told.type, told.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(told)
    with pytest.raises(SystemExit, match="tiny/link, which is no file"):
        cli.main(["unbundle", "it.tar.gz"])
    with zipfile.ZipFile("it.zip", "w") as archive:
        entry = zipfile.ZipInfo("tiny/link")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(SystemExit, match="tiny/link, which is no file"):
        cli.main(["unbundle", "it.zip"])


def test_a_name_that_is_there_twice_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with tarfile.open("it.tar.gz", "w:gz") as archive:
        for _ in range(2):
            told, sums = tarfile.TarInfo("tiny/SHA256SUMS"), b"0  config.yaml\n"
            told.size = len(sums)
            archive.addfile(told, io.BytesIO(sums))
    with pytest.raises(SystemExit, match="holds tiny/SHA256SUMS twice"):
        cli.main(["unbundle", "it.tar.gz"])


def test_nothing_is_overwritten(archive: Path) -> None:
    mine = Path("there/mine")
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(SystemExit, match="there is there already, and nothing is overwritten"):
        cli.main(["unbundle", str(archive), "--into", "there"])
    assert mine.read_text() == "mine"


def test_programs_stay_programs(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name in ("it.zip", "it.tar.gz"):
        archives.write_archive(tmp_path / name, {"top/program": program, "top/text": b"text"})
        told = {each.name: each.executable for each in archives.archived_files(tmp_path / name)}
        assert told == {"top/program": True, "top/text": False}


def test_versions_that_differ_are_told() -> None:
    now = json.loads(texts.versions_file())
    assert texts.other_versions(now) == []
    then = {"versions": {**now["versions"], "torch": "1.0", "jax": "2"}}
    del then["versions"]["numpy"]
    told = "\n".join(texts.other_versions(then))
    assert "torch: 1.0 when it was made, " in told
    assert "jax: 2 when it was made, none here" in told
    assert "numpy: not told when it was made, " in told


def test_constraints_name_all_that_is_needed_and_no_local_builds() -> None:
    lines = texts.constraints().splitlines()
    named = [line.partition("==")[0] for line in lines]
    assert {"sbi-pipeline", "torch", "snakemake", "numpy", "pulp"} <= set(named)
    assert named == sorted(set(named))
    assert not [line for line in lines if "+" in line]


def test_constraints_follow_extras_and_leave_out_what_this_system_does_not_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needs = {
        "sbi-pipeline": ["A_b[fast]>=1", "winonly; sys_platform == 'win32'", "no.such>=1"],
        "A_b": ["quick; extra == 'fast'", "slow; extra == 'other'"],
    }

    def distribution(name: str) -> Any:
        if name == "no.such":
            raise importlib.metadata.PackageNotFoundError(name)
        return SimpleNamespace(version="1.2+cpu", requires=needs.get(name))

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    assert texts.constraints().splitlines() == ["a-b==1.2", "quick==1.2", "sbi-pipeline==1.2"]


@pytest.mark.slow
def test_snakemake_makes_nothing_anew_in_an_opened_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, there = tmp_path / "study", tmp_path / "another place"
    new_study.begin(home)
    config = home / "config.yaml"
    smaller = config.read_text().replace("max_epochs: 15", "max_epochs: 2")
    config.write_text(smaller.replace("simulations: 10000", "simulations: 2000"))
    assert "12 of 12 steps" in snakemake(home)
    monkeypatch.chdir(home)
    campaigns = [Path("results/on_off")]
    list(bundles.pack(campaigns, tmp_path / "it.tar.gz", study.default_files(), {}))
    list(bundles.unpack(tmp_path / "it.tar.gz", there))
    assert "Nothing to be done" in snakemake(there)
    assert not list(there.rglob("*.zarr"))
    config = there / "config.yaml"
    config.write_text(config.read_text().replace("max_epochs: 2", "max_epochs: 3"))
    assert "run snakemake once more" in snakemake(there)
    rows = [path.relative_to(home) for path in home.glob("results/simulations/*/*.zarr/**/c/**/*")]
    same = [each for each in rows if (home / each).is_file() and "x" in each.parts]
    assert same
    assert all((home / path).read_bytes() == (there / path).read_bytes() for path in same)
    assert "train" in snakemake(there, "--dry-run")


def snakemake(folder: Path, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
