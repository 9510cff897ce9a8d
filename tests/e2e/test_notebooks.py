"""Each notebook runs from its first cell to its last on a real lake, and writes nothing there."""

import nbformat
import pytest
from nbclient import NotebookClient
from support.refreshed import ROOT, files_of

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, generated, monkeypatch):
    monkeypatch.setenv("CRM_SPARK_LAKE", str(generated.lake))
    before = files_of(generated.lake)
    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "a notebook is committed without outputs"
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(path.parent)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert len(outputs) >= 5
    assert files_of(generated.lake) == before
