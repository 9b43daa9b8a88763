"""The tutorial notebook, run from its first cell to its last as its reader would."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

NOTEBOOK = Path(__file__).parents[1] / "docs/tutorial.ipynb"
EXACT = """
from IPython.display import JSON
JSON({
    "one": [float(draws.mean()), float(draws.std()), *map(float, mean_and_sd(exact(night)))],
    "both": [float(both.mean()), float(both.std()), *map(float, mean_and_sd(exact(*nights)))],
})
"""


def run(notebook: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the cells of a notebook in a folder."""
    programs = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    there = {"metadata": {"path": str(folder)}}
    return nbclient.NotebookClient(notebook, timeout=600, resources=there).execute()


def printed(cell: Any) -> str:
    return "".join(each.get("text", "") for each in cell.outputs)


def test_it_is_kept_without_outputs() -> None:
    notebook = json.loads(NOTEBOOK.read_text())
    cells = [each for each in notebook["cells"] if each["cell_type"] == "code"]
    assert len(cells) > 20
    assert not any(each["outputs"] or each["execution_count"] for each in cells)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Jupyter's own event loops and sockets
def test_every_cell_runs_and_the_posteriors_are_the_exact_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = nbformat.read(NOTEBOOK, 4)
    notebook.cells.append(nbformat.v4.new_code_cell(EXACT))
    *cells, told = run(notebook, tmp_path, monkeypatch).cells
    code = [each for each in cells if each.cell_type == "code"]
    assert any("Nothing to be done" in printed(each) for each in code)
    assert any(r"\begin{tabular}" in printed(each) for each in code)
    pictures = [o for each in code for o in each.outputs if "image/png" in o.get("data", {})]
    assert len(pictures) == 9
    found = told.outputs[0]["data"]["application/json"]
    for mean, sd, exact_mean, exact_sd in found.values():
        assert mean == pytest.approx(exact_mean, abs=0.15 * exact_sd)
        assert sd == pytest.approx(exact_sd, rel=0.1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("source", ["1 / 0", "%%bash\nsbi-pipeline check --configfile none.yaml"])
def test_a_cell_that_fails_ends_it(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    with pytest.raises(nbclient.exceptions.CellExecutionError):
        run(notebook, tmp_path, monkeypatch)
