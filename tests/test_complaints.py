import pytest

from sbi_pipeline import complaints

REFUSED = """\
Error in rule sample_prior:
    message: SLURM sbatch failed. The error message was 'sbatch: error: invalid partition \
specified: nope
sbatch: error: Batch job submission failed: Invalid partition name specified'.
    jobid: 2
    output: results/simulations/a/prior-0.zarr
    log: results/simulations/a/sample_prior-0.log (check log file(s) for error details)
"""
KILLED = """\
Error in rule simulate:
    message: SLURM-job '8' failed, SLURM status is: 'OUT_OF_MEMORY'. Reason: Unknown.For further \
error details see the cluster/cloud log and the log files
    jobid: 3
    output: results/simulations/a/shard-0.json
    log: simulate-0.log, /there/8.log (check log file(s) for error details)
"""


def told(text, folder):
    (folder / "snakemake.log").write_text(text)
    return complaints.explain(folder / "snakemake.log", folder)


def test_a_refused_submission_says_what_slurm_said(tmp_path):
    (line,) = told(REFUSED, tmp_path)
    assert line.startswith("sample_prior: sbatch: invalid partition specified: nope; log: /")
    assert line.endswith("/snakemake.log")


def test_a_job_killed_for_memory_says_what_to_raise(tmp_path):
    (line,) = told(KILLED, tmp_path)
    assert line.startswith("simulate: killed for memory; raise mem_mb of this rule")
    assert line.endswith("log: simulate-0.log")


def test_a_kill_for_memory_is_read_from_slurms_log_too(tmp_path):
    (tmp_path / "8.log").write_text("slurmstepd: error: StepId=8.0 exceeded memory limit (8 > 3)\n")
    text = KILLED.replace("OUT_OF_MEMORY", "FAILED").replace("/there", str(tmp_path))
    assert told(text, tmp_path)[0].startswith("simulate: killed for memory")


def test_the_error_a_log_ends_with_is_the_reason(tmp_path):
    (tmp_path / "simulate-0.log").write_text("INFO begun\nTraceback:\nValueError: no licence\n")
    (line,) = told(KILLED.replace("OUT_OF_MEMORY", "FAILED"), tmp_path)
    assert line == "simulate: no licence; log: simulate-0.log"


def test_clocks_that_differ_are_named(tmp_path):
    (tmp_path / "simulate-0.log").write_text("INFO begun\n")
    skew = "Output a.json has older modification time (11:00:24) than input spec.json (13:00:24)."
    (tmp_path / "8.log").write_text(f"WorkflowError in rule simulate in file b:\n{skew}\n")
    (line,) = told(
        KILLED.replace("OUT_OF_MEMORY", "FAILED").replace("/there", str(tmp_path)), tmp_path
    )
    assert line.startswith("simulate: clocks differ, an output is older than its input; ")
    assert line.endswith("; log: simulate-0.log")


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (
            "simulate: shard-0.zarr: No space left on device; make room (more in s-0.log)",
            "shard-0.zarr: No space left on device; make room",
        ),
        ("ModuleNotFoundError: No module named 'encodings'", "No module named 'encodings'"),
        ("/usr/bin/python: No module named snakemake", "No module named snakemake"),
        (
            "/var/spool/slurmd/job8/slurm_script: line 4: /x/python: No such file or directory",
            "/x/python: No such file or directory",
        ),
        ("'moons': importing 'moons' failed", "'moons': importing 'moons' failed"),
    ],
)
def test_where_a_rule_wrote_no_log_that_of_its_slurm_job_tells(tmp_path, written, reason):
    (tmp_path / "simulate-0.log").touch()
    (tmp_path / "8.log").write_text(f"Building DAG of jobs...\n{written}\n")
    text = KILLED.replace("OUT_OF_MEMORY", "FAILED").replace("/there", str(tmp_path))
    assert told(text, tmp_path) == [f"simulate: {reason}; log: {tmp_path}/8.log"]


def test_a_job_that_went_well_in_the_end_did_not_fail(tmp_path):
    assert told(f"{KILLED}Finished jobid: 3 (Rule: simulate)\n", tmp_path) == []
    assert len(told(f"{KILLED}Trying to restart job 3.\n{KILLED}", tmp_path)) == 1


def test_of_many_failures_some_are_shown(tmp_path):
    text = "".join(KILLED.replace("jobid: 3", f"jobid: {n}") for n in range(30))
    lines = told(text, tmp_path)
    assert len(lines) == 11
    assert lines[-1] == "and 20 more jobs failed"
