"""A simulator that is a program in any language: parameters in, data out, one run a simulation.

Every run has a scratch folder of its own as working directory, deleted afterwards. The program gets
a seed; if it draws its randomness from it, the campaign is reproducible.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from ..options import Index, OneOf, Positive
from ..types import StopCampaign

Array = NDArray[Any]
Values = dict[str, float]

STDERR = 200  # characters of what a program complained about that are kept
LAST = 10_000  # characters in which these are looked for
SHOWN = 100  # characters of what a program printed that are shown where it is no data


class Program:
    """Runs a command for each simulation and reads what it wrote.

    The command is split as a shell would, but no shell runs it. In it, ``{name}`` stands for the
    value of a parameter, ``{seed}`` for a seed below 2^31, ``{input}`` and ``{output}`` for paths
    in the scratch folder, ``{folder}`` for the folder snakemake was called from.

    Args:
        command: Such as ``"{folder}/decay {rate} {background} {seed}"``.
        parameters: Names of the parameters, in the order of the priors.
        input: How parameters get in: ``arguments`` (those in the command), ``environment``
            (variables named like parameters, and ``seed``), or the file ``{input}`` as ``json``,
            ``csv`` (a header and a line) or ``npy`` (the values alone).
        output: How data come out: ``stdout`` (numbers with blanks, commas or line ends between
            them), or the file ``{output}`` as ``json``, ``csv``, ``npy`` or ``npz``.
        array: Name of the array in an npz file.
        time_limit: Seconds a run may take; the row then counts as timed out.
        retry_codes: Exit codes after which the run is repeated, with the same seed.
        retries: How often.
        stop_codes: Exit codes that stop the whole campaign: a licence that ran out, a full disk.
        keep_failed: Folder to which the scratch folders of failed runs are moved; by default
            they are deleted.
    """

    vectorised = False

    def __init__(
        self,
        command: str,
        parameters: Sequence[str],
        *,
        input: Annotated[str, OneOf(INPUTS)] = "arguments",  # noqa: A002 - the word of the configuration
        output: Annotated[str, OneOf(OUTPUTS)] = "stdout",
        array: str = "x",
        time_limit: Positive | None = None,
        retry_codes: Sequence[int] = (),
        retries: Index = 2,
        stop_codes: Sequence[int] = (),
        keep_failed: str | None = None,
    ) -> None:
        if input not in INPUTS:
            raise ValueError(f"input is {input!r}; wanted one of {', '.join(INPUTS)}")
        if output not in OUTPUTS:
            raise ValueError(f"output is {output!r}; wanted one of {', '.join(OUTPUTS)}")
        self.parameters = tuple(parameters)
        self.command = shlex.split(command)
        self.input, self.output, self.array = input, output, array
        self.time_limit = time_limit
        self.retry_codes, self.retries = tuple(retry_codes), retries
        self.stop_codes = tuple(stop_codes)
        self.keep_failed = None if keep_failed is None else Path(keep_failed)
        self._folder = Path.cwd()
        self._fill(dict.fromkeys(self.parameters, 0.0), 0, Path())

    def __call__(self, parameters: Array, rng: np.random.Generator) -> Array:
        """Run the program for one row, ``(n_parameters,)``; return its data, ``x_shape``."""
        values = dict(zip(self.parameters, parameters.tolist(), strict=True))
        seed = int(rng.integers(2**31))
        try:
            scratch = Path(tempfile.mkdtemp(prefix="simulation-"))
        except OSError as error:
            raise _no_scratch(error) from error
        try:
            x = self._run(values, seed, scratch)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise _no_scratch(error) from error
            if self.keep_failed is not None:
                self.keep_failed.mkdir(parents=True, exist_ok=True)
                shutil.move(scratch, self.keep_failed / scratch.name)
            raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return x

    def _run(self, values: Values, seed: int, scratch: Path) -> Array:
        environment = dict(os.environ)
        if self.input == "environment":
            environment |= {name: repr(value) for name, value in (values | {"seed": seed}).items()}
        else:
            INPUTS[self.input](scratch / "input", values)
        command = self._fill(values, seed, scratch)
        for attempt in range(self.retries + 1):
            code, out, complaint = self._execute(command, environment, scratch)
            if code == 0:
                return self._read(scratch, out, command[0])
            if code in self.stop_codes:
                raise StopCampaign(f"{command[0]} ended with exit code {code}: {complaint}")
            if code not in self.retry_codes or attempt == self.retries:
                break
        if code < 0:
            raise ChildProcessError(f"{command[0]} ended with {signal.Signals(-code).name}")
        raise RuntimeError(f"{command[0]} ended with exit code {code}: {complaint}")

    def _read(self, scratch: Path, out: str, program: str) -> Array:
        """Return what a run that ended well gave.

        Raises:
            ValueError: It gave no data, or no numbers.
        """
        try:
            x = OUTPUTS[self.output](scratch / "output", out, self.array)
        except FileNotFoundError as error:
            raise ValueError(f"{program} wrote no file {{output}}{_printed(out)}") from error
        except Exception as error:
            what = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(f"{program} gave no data: {what}{_printed(out)}") from error
        if not x.size:
            raise ValueError(f"{program} gave no data, and no error{_printed(out)}")
        return x

    def _execute(
        self, command: Sequence[str], environment: dict[str, str], scratch: Path
    ) -> tuple[int, str, str]:
        """Run once; return exit code, standard output and the end of standard error."""
        try:
            process = subprocess.Popen(
                command,
                cwd=scratch,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise StopCampaign(f"{command[0]} cannot be run: {error}") from error
        try:
            out, complaint = process.communicate(timeout=self.time_limit)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"ran longer than {self.time_limit:g} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # and what it started
                process.communicate()
        told = " ".join(complaint[-LAST:].split())[-STDERR:]
        return process.returncode, out, told

    def _fill(self, values: Values, seed: int, scratch: Path) -> list[str]:
        """Return the command with values for its placeholders."""
        known = {name: repr(value) for name, value in values.items()}
        known |= {"seed": str(seed), "folder": str(self._folder)}
        known |= {"input": str(scratch / "input"), "output": str(scratch / "output")}
        try:
            return [word.format_map(known) for word in self.command]
        except (KeyError, ValueError, IndexError) as error:
            raise ValueError(
                f"command has a placeholder that is not known ({error}); wanted "
                + ", ".join(f"{{{name}}}" for name in known)
            ) from error


def _no_scratch(error: OSError) -> StopCampaign:
    """Return what stops a campaign that has no space for its scratch folders."""
    where, why = tempfile.gettempdir(), os.strerror(error.errno or 0)
    return StopCampaign(f"no scratch folder in {where}: {why}; set TMPDIR to a folder with space")


def _printed(out: str) -> str:
    """Return the first words of what a program printed, for a message."""
    words = " ".join(out[:LAST].split())
    return f"; it printed {words[:SHOWN]!r}" if words else "; it printed nothing"


def _write_json(path: Path, values: Values) -> None:
    path.write_text(json.dumps(values))


def _write_csv(path: Path, values: Values) -> None:
    path.write_text(f"{','.join(values)}\n{','.join(map(repr, values.values()))}\n")


def _write_npy(path: Path, values: Values) -> None:
    with path.open("wb") as file:
        np.save(file, np.array(list(values.values())))


def _in_command(path: Path, values: Values) -> None:
    """Parameters travel in the command or the environment: there is nothing to write."""


def _read_stdout(path: Path, out: str, array: str) -> Array:
    try:
        return np.array([float(word) for word in out.replace(",", " ").split()])
    except ValueError as error:
        text = "wanted numbers alone on standard output, and all else on standard error"
        raise ValueError(text) from error


def _read_json(path: Path, out: str, array: str) -> Array:
    return np.asarray(json.loads(path.read_text()))


def _read_csv(path: Path, out: str, array: str) -> Array:
    return np.loadtxt(path, delimiter=",")


def _read_npy(path: Path, out: str, array: str) -> Array:
    with path.open("rb") as file:
        return np.asarray(np.load(file, allow_pickle=False))


def _read_npz(path: Path, out: str, array: str) -> Array:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return np.asarray(arrays[array])


INPUTS: dict[str, Callable[[Path, Values], None]] = {
    "arguments": _in_command,
    "environment": _in_command,
    "json": _write_json,
    "csv": _write_csv,
    "npy": _write_npy,
}
OUTPUTS: dict[str, Callable[[Path, str, str], Array]] = {
    "stdout": _read_stdout,
    "json": _read_json,
    "csv": _read_csv,
    "npy": _read_npy,
    "npz": _read_npz,
}
