"""What `sbi-pipeline status` says of results that are planned, made, at work, failed or torn."""

import http.client
import json
import os
import re
import threading
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml
from shard_for_tests import make

from sbi_pipeline import cli, progress, sidecars, study
from sbi_pipeline.commands import watching
from sbi_pipeline.job_reports import ALIVE, SUFFIX
from sbi_pipeline.status import page
from sbi_pipeline.status.server import LOOPBACK, StatusServer
from sbi_pipeline.status.study import status_of
from sbi_pipeline.status.tables import Curve, StudyStatus
from sbi_pipeline.storage import journal
from sbi_pipeline.storage.lease import Lease

HISTORY = "epoch,train_loss,validation_loss,learning_rate,seconds\n"
DIAGNOSTICS = "parameter,r_hat,ess_least\n"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with results, of which none is made."""
    monkeypatch.chdir(tmp_path)
    folder = Path("results")
    folder.mkdir()
    return folder


def report(results: Path, name: str, *, age: float = 0.0, **told: object) -> Path:
    """Write what a job tells, as if so many seconds ago."""
    path = results / f"{name}{SUFFIX}"
    path.parent.mkdir(parents=True, exist_ok=True)
    now = time.time() - age
    content = {
        "stage": path.name.partition("-")[0].removesuffix(SUFFIX),
        "makes": "",
        "host": "node7",
        "job": "",
        "begun": now - 60,
        "written": now,
        "state": "running",
        "text": "",
        "counts": [],
        **told,
    }
    path.write_text(json.dumps(content))
    os.utime(path, (now, now))
    return path


def count(unit: str, done: float, total: float, seconds: float = 50, **told: object) -> object:
    now = time.time()
    numbers = {"done": done, "total": total, "first": 0, "begun": now - seconds, "told": now}
    rest = {"at_most": True, "values": {}, "names": [], "points": []}
    return {"unit": unit, **numbers, **rest, **told}


def line(text: object, *words: str) -> str:
    """Return the one line that holds all of some words."""
    (found,) = [each for each in str(text).splitlines() if all(word in each for word in words)]
    return re.sub(r" {2,}", " | ", found)


def table(text: object, head: str) -> str:
    """Return the lines of the table whose first column is called so."""
    (found,) = [each for each in str(text).split("\n\n") if each.startswith(f"{head} ")]
    return found


def test_trainings_and_chains_tell_where_they_are(results):
    losses = {"training loss": -1.25, "validation loss": -1.125}
    points = [[1, 0.5, 0.75], [2, -1.5, None], [3, -1.0, -1.0], [10, -1.25, -1.125]]
    names = ["epochs", "training loss", "validation loss"]
    epochs = count("epochs", 10, 60, values=losses, names=names, points=points)
    report(results, "one/npe/train", counts=[epochs])
    seen = {"R-hat": 1.031, "effective draws": 512.0, "acceptance": 0.25}
    steps = count("steps", 400, 20000, values=seen)
    report(results, "one/nle/sample-0", counts=[count("observations", 0, 1), steps], job="123")
    (results / "one/nre").mkdir()
    (results / "one/nre/history.csv").write_text(
        f"{HISTORY}1,0.5,0.6,0.1,1\n2,0.4,0.5,0.1,2\n3,0.3,0.55,0.1,3\n"
    )
    status = status_of(results)
    trainings = table(status, "trainings")
    assert line(trainings, "one/npe/train") == (
        "one/npe/train | 10 | 60 | -1.250 | -1.125 | 10 | running, 4 min 10 s to go"
    )
    assert line(trainings, "one/nre") == "one/nre | 3 | – | 0.3000 | 0.5500 | 2 | done"
    assert line(table(status, "chains"), "one/nle/sample-0") == (
        "one/nle/sample-0 | 400 | 20,000 | 1.031 | 512 | running, 40 min 50 s to go"
    )
    at_work = table(status, "at work")
    assert line(at_work, "one/nle/sample-0").endswith("node7, Slurm job 123")
    assert line(at_work, "one/npe/train").startswith(
        "one/npe/train | 1 min 00 s | 4 min 10 s | 10 of"
    )
    assert [curve.title for curve in status.curves] == ["one/npe/train", "one/nre"]


def test_what_failed_names_its_log_and_what_is_silent_its_last_word(results):
    report(results, "one/nle/train", age=300, state="failed", text="the loss is not finite\nmore")
    report(results, "one/npe/train", age=ALIVE + 60, counts=[count("epochs", 7, 60)])
    report(results, "one/fmpe/train", age=7300, state="interrupted", text="after epoch 3")
    status = status_of(results)
    failed = line(status, "one/nle/train")
    assert failed == (
        "one/nle/train | 5 min 00 s ago | failed: the loss is not finite | "
        "results/one/nle/train.log"
    )
    silent = line(status, "one/npe/train", "2 min 00 s ago")
    assert "no word from node7: killed, or cut off, 7 of at most 60 epochs" in silent
    assert "2.0 h ago | interrupted after epoch 3" in line(status, "one/fmpe/train")
    assert "at work" not in str(status)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stage": 1}', "\x00\xff"])
def test_torn_files_hide_nothing_else(results, text):
    report(results, "one/npe/train", counts=[count("epochs", 7, 60)])
    folder = results / "one/nle/night"
    folder.mkdir(parents=True)
    torn = ["diagnostics.csv", f"train{SUFFIX}", "box.json", f"train{SUFFIX}.77.partial"]
    for path in [folder.with_name("history.csv"), *(folder / name for name in torn)]:
        path.write_text(text)
    store = results / "simulations/noise-k/shard-0.zarr"
    store.mkdir(parents=True)
    (store / journal.FILE).write_text(text)
    (results / "one/nle/survey/draws.zarr").mkdir(parents=True)
    status = status_of(results)
    assert "7 of at most 60 epochs" in line(status, "one/npe/train", "node7")
    assert "draws.zarr" in line(status, "one/nle/survey")


def test_posteriors_are_told_by_their_worst(results):
    for name, r_hat, ess in (("a", "1.002", "900"), ("b", "1.02", "2000"), ("c", "", "5000")):
        folder = results / "one/nle" / name
        folder.mkdir(parents=True)
        (folder / "diagnostics.csv").write_text(f"{DIAGNOSTICS}mass,{r_hat},{ess}\n")
    (results / "one/npe/a").mkdir(parents=True)
    (results / "one/npe/a/diagnostics.csv").write_text(f"{DIAGNOSTICS}mass,,9000\n")
    status = status_of(results)
    assert line(status, "one/nle") == "one/nle | 3 | 1.020 | 900"
    assert line(status, "one/npe") == "one/npe | 1 | no chains | 9,000"


@pytest.fixture
def shards(results):
    folder = results / "simulations/noise-key"
    folder.mkdir(parents=True)
    make(folder, 300, "NoiseOneByOne", 300, chunk_size=100)
    return folder


def test_shards_tell_rate_time_left_and_why_rows_failed(results, shards):
    shard = shards / "shard-0.zarr"
    assert "300 | 300 | 0" in line(status_of(results), "noise-key/shard-0", "done")
    with journal.Journal(shard) as ledger:
        lines = journal.read_records(shard)
        ledger.append(lines[0] | {"rows": 700, "time": 1000.0})
        ledger.append(
            lines[1] | {"start": 300, "stop": 400, "time": 1010.0, "failures": {"nan": 4}}
        )
    with Lease(shard):
        status = status_of(results)
    assert line(status, "noise-key/shard-0") == (
        "noise-key/shard-0 | 400 | 700 | 4 | 10 | running, 30.0 s to go"
    )
    assert line(status, "noise-key", "nan") == "noise-key | nan | 4"
    assert "400 | 700 | 4 | 10 | stopped" in line(status_of(results), "noise-key/shard-0")
    shard.with_suffix(".json").write_text("{")
    later = time.time() + 10
    os.utime(shard.with_suffix(".json"), (later, later))
    assert "was damaged or edited" in line(status_of(results), "noise-key/shard-0")


def test_thousands_of_shards_and_jobs_are_a_page(results, shards):
    receipt = (shards / "shard-0.json").read_bytes()
    lines = (shards / "shard-0.zarr" / journal.FILE).read_bytes()
    for number in range(1, 2000):
        store = shards / f"shard-{number}.zarr"
        store.mkdir()
        (store / journal.FILE).write_bytes(lines)
        if number < 1500:
            (shards / f"shard-{number}.json").write_bytes(receipt)
    for number in range(1000):
        folder = results / f"one/npe/o{number}"
        folder.mkdir(parents=True)
        (folder / "diagnostics.csv").write_text(f"{DIAGNOSTICS}mass,1.01,900\n")
    status = status_of(results)
    assert "600,000 | 600,000" in line(status, "noise-key, 2000 shards")
    assert "1500 done, 500 stopped" in line(status, "noise-key, 2000 shards")
    assert str(status).count("2000 shards") == 1
    assert "1,000" in line(status, "one/npe")
    assert len(str(status).splitlines()) < 60


def test_a_look_writes_nothing(results, shards):
    report(results, "one/npe/train", counts=[count("epochs", 7, 60)])

    def everything() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in Path().rglob("*")}

    before = everything()
    status_of(results)
    assert everything() == before


@pytest.fixture
def planned(results: Path) -> Path:
    """The tiny study, of which nothing is made."""
    for name in ("config.yaml", "tiny.py"):
        Path(name).write_text(Path(__file__).with_name(name).read_text())
    return results


def test_a_plan_says_what_waits(planned, capsys):
    report(planned, "tiny/npe/train", makes="results/tiny/npe/train.spec.json")
    report(planned, "tiny/gone/train", age=9000, makes="results/tiny/gone/train.spec.json")
    report(planned, "tiny/nle/train", age=9000, makes="results/tiny/nle/train.spec.json")
    cli.main(["status"])
    out = capsys.readouterr().out
    assert "0 of " in out.splitlines()[0]
    assert "snakemake rests" in out.splitlines()[0]
    results = table(out, "results").replace("results ", "", 1)
    assert line(results, "train ").split(" | ") == ["train", "0", "2", "1", "1"]
    assert "tiny/gone" not in out  # no configuration wants it any more
    assert "killed, or cut off" in line(out, "tiny/nle/train")


def test_a_last_word_counts_no_more_when_what_it_was_of_is_made(planned, capsys):
    plan = study.Plan(study.load_configuration(study.default_files()))
    path = next(Path(each) for each in plan if plan[each].stage == "observe")
    path.parent.mkdir(parents=True)
    report(planned, "tiny/observe-0", age=9000, makes=str(path))
    cli.main(["status"])
    assert "tiny/observe-0" in capsys.readouterr().out
    made = path.with_name(f"{path.name.partition('.')[0]}.nc")
    made.write_text("")
    sidecars.write_beside(path, plan[str(path)].content, [made])
    cli.main(["status"])
    out = capsys.readouterr().out
    assert "tiny/observe-0" not in out
    assert line(out, "observe ").split(" | ")[1] == "1"


def test_a_look_takes_each_result_into_account_once(planned, monkeypatch):
    plan = study.Plan(study.load_configuration(study.default_files()))
    for path in plan:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        sidecars.write_beside(Path(path), plan[path].content, [])
    looked = []
    is_made = sidecars.is_made
    monkeypatch.setattr(
        sidecars, "is_made", lambda path, spec: looked.append(str(path)) or is_made(path, spec)
    )
    status = status_of(planned, plan)
    assert sorted(looked) == sorted(plan)
    assert f" of {len(plan)} results are made" in status.lines[0]


def test_a_configuration_that_is_wrong_hides_no_files(planned, capsys):
    report(planned, "tiny/npe/train")
    config = Path("config.yaml")
    config.write_text(config.read_text().replace("method: npe", "method: 7"))
    cli.main(["status"])
    out = capsys.readouterr().out
    assert "what waits is not known: config.yaml:" in out
    assert "tiny/npe/train" in out
    with pytest.raises(SystemExit, match=r"^config\.yaml"):
        cli.main(["status", "--configfile", "config.yaml"])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["none"], "none: no such folder; are you where snakemake is called?"),
        (["config.yaml"], "config.yaml: no such folder; are you where snakemake is called?"),
        (["empty"], "empty: nothing of a study in it; name its folder of results"),
        (["empty", "--configfile", "config.yaml"], "a configuration tells of the results that"),
        (["--configfile", "missing.yaml"], "missing.yaml"),
        (["--serve", "70000"], "port 70000 of 127.0.0.1 cannot be had"),
    ],
)
def test_bad_input_is_one_line(planned, arguments, text):
    Path("empty").mkdir()
    with pytest.raises(SystemExit) as ended:
        cli.main(["status", *arguments])
    assert text in str(ended.value)
    assert "\n" not in str(ended.value)


@pytest.mark.parametrize("arguments", [["--watch", "0"], ["--watch", "--serve"], ["--watch", "x"]])
def test_bad_options_are_refused(results, arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["status", *arguments])


def test_watching_renews_until_it_is_interrupted(results, capsys, monkeypatch):
    path = report(results, "one/npe/train", counts=[count("epochs", 7, 60)])
    naps = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            raise KeyboardInterrupt
        path.unlink()
        report(results, "one/npe/train", counts=[count("epochs", 8, 60)])

    monkeypatch.setattr(watching.time, "sleep", nap)
    cli.main(["status", "--watch", "2"])
    out = capsys.readouterr().out
    assert naps == [2.0, 2.0]
    assert out.index("7 of at most 60 epochs") < out.index("8 of at most 60 epochs")


def test_watching_takes_the_configuration_as_it_is_by_then(planned, capsys, monkeypatch):
    report(planned, "tiny/npe/train", makes="results/tiny/npe/train.spec.json")
    config = Path("config.yaml")
    whole = config.read_text()
    fewer = yaml.safe_load(whole)
    fewer["estimators"].pop("nle")
    fewer["calibration"] = {}
    edits = [yaml.safe_dump(fewer), "campaigns: [", None, whole]

    def edit(_: float) -> None:
        if not edits:
            raise KeyboardInterrupt
        text = edits.pop(0)
        if text is None:
            config.unlink()
        else:
            config.write_text(text)

    monkeypatch.setattr(watching.time, "sleep", edit)
    cli.main(["status", "--watch", "--configfile", "config.yaml"])
    looks = capsys.readouterr().out.split("\n\nresults, ")
    of = [re.findall(r"0 of (\d+) results are made", look) for look in looks]
    (first,), (second,), half, gone, (last,) = of
    assert int(second) < int(first) == int(last)
    assert half == gone == []
    assert "what waits is not known: config.yaml:" in looks[2]
    assert "what waits is not known: " in looks[3]


@pytest.fixture
def server(results):
    """A server of results in which a training runs and another has failed."""
    points = [[1, 5e9, 0.75], [2, 0.5, None], [3, -1.0, -1.0]]
    names = ["epochs", "training loss", "validation loss"]
    report(results, "one/npe/train", counts=[count("epochs", 3, 60, names=names, points=points)])
    report(results, "one/nle/train", state="failed", text="a <b> & c")
    (results / "one/nle/train.log").write_text("first\n<script>alert(1)</script>\nlast line\n")
    with StatusServer(lambda: status_of(results), 0) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(server: StatusServer, path: str, host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection(LOOPBACK, server.server_port, timeout=5)
    connection.request("GET", path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_the_page_holds_all_and_asks_for_nothing_from_elsewhere(server):
    with urlopen(server.address, timeout=5) as answer:
        text = answer.read().decode()
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "one/npe/train" in text
    assert "3 of at most 60 epochs" in text
    assert text.count("<polyline") == 2
    assert "a &lt;b&gt; &amp; c" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\nlast line" in text
    assert "alert(1)</script>" not in text.replace("&lt;/script&gt;", "")
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", text)
    status, inner = ask(server, "/now")
    assert status == 200
    assert "<html" not in inner
    assert "one/npe/train" in inner


def test_the_page_is_renewed(server, results):
    server.status()
    report(results, "one/npe/train", counts=[count("epochs", 9, 60)])
    server._seen = None
    assert "9 of at most 60 epochs" in ask(server, "/now")[1]


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/", "localhost:1234", 200),  # the other end of a tunnel
        ("/", "[::1]:80", 200),
        ("/", "evil.example", 403),  # a page elsewhere whose name was bent to this machine
        ("/", "127.0.0.1.evil.example", 403),
        ("/", "", 403),
        ("/../config.yaml", None, 404),
        ("/results/one/nle/train.log", None, 404),
    ],
)
def test_the_server_answers_this_machine_only(server, path, host, status):
    assert ask(server, path, host)[0] == status
    assert server.server_address[0] == LOOPBACK


def test_a_study_that_goes_away_is_told_to_the_browser(server, results):
    results.rename("elsewhere")
    status, text = ask(server, "/")
    assert status == 503
    assert "no such folder" in text


def test_a_port_that_is_taken_is_one_line(server, results):
    with pytest.raises(SystemExit, match=f"port {server.server_port} of 127.0.0.1 cannot be had"):
        cli.main(["status", "--serve", str(server.server_port)])


def test_a_curve_begins_and_ends_at_the_edges_of_its_field():
    points = [(1.0, 1e12), *((float(epoch), 100.0 - epoch) for epoch in range(2, 101))]
    (drawn,) = page.drawings(Curve("one", ("epochs", "training loss"), points))
    places = [tuple(map(float, each.split(","))) for each in drawn.lines[0].path.split()]
    assert (places[0][0], places[-1]) == (0.0, (page.WIDTH, page.HEIGHT))
    assert places[0][1] < 0  # far above the field, and cut
    assert (drawn.low, drawn.high, drawn.first, drawn.last) == ("0", "95", "1", "100")


@pytest.mark.parametrize("points", [[], [(1.0, 2.0)], [(1.0, float("nan"))] * 3])
def test_a_curve_of_nothing_is_not_drawn(points):
    assert page.drawings(Curve("one", ("epochs", "training loss"), points)) == []


def test_what_has_another_scale_has_a_field_of_its_own():
    points = [(100.0, 1.2, 300.0), (200.0, 1.1, 900.0)]
    drawn = page.drawings(Curve("one", ("steps", "R-hat", "effective draws"), points))
    assert [each.lines[0].name for each in drawn] == ["R-hat", "effective draws"]


def test_a_page_of_nothing_can_be_rendered():
    assert "<main>" in page.page(StudyStatus(["results"], [], []))


def test_progress_and_status_agree_on_what_they_say(results):
    log = results / "one/npe/train.log"
    log.parent.mkdir(parents=True)
    losses = {"training loss": 1.0, "validation loss": 2.0}
    with progress.reported(log, "train"), progress.counting("epochs", 5, at_most=True) as counter:
        for _ in range(2):
            counter.update(seen=losses, curve=True)
        progress._job.write()
        status = status_of(results)
    trained = line(table(status, "trainings"), "one/npe/train")
    assert trained.startswith("one/npe/train | 2 | 5 | 1 | 2 | 1 | running")
    (curve,) = status.curves
    assert curve.points == ((1.0, 1.0, 2.0), (2.0, 1.0, 2.0))


def test_rounds_tell_which_box_they_wait_for(planned, capsys):
    config = Path("config.yaml")
    rounds = "    shard_size: 1000\n    rounds: {simulations: 500, at_most: 3}\n"
    config.write_text(config.read_text().replace("    shard_size: 1000\n", rounds))
    cli.main(["status"])
    out = capsys.readouterr().out
    assert "the box of tiny_round_2 will tell how many rounds follow" in out
    rows = table(out, "rounds")
    assert line(rows, "tiny_round_1 ", "results made").split(" | ")[:6] == [
        *("tiny_round_1", "1", "3", "1", "500", "0")
    ]
    assert line(rows, "tiny ") == "tiny | – | 3 | – | – | – | waits for the box of tiny_round_2"
