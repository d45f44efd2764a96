"""examples/quickstart.ipynb in a real Jupyter kernel."""

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers.source import ROOT


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """The notebook after all of its cells ran."""
    content = nbformat.read(ROOT / "examples/quickstart.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in content.cells), "clear the outputs before committing"
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("OMP_NUM_THREADS", "1")
        NotebookClient(content, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return content, folder


def outputs(notebook, word):
    """The outputs of the cell whose source contains ``word``."""
    (cell,) = [cell for cell in notebook[0].cells if cell.cell_type == "code" and word in cell.source]
    return cell.outputs


def test_it_labels_a_room_and_saves_it(notebook):
    printed = "".join(output["text"] for output in outputs(notebook, "result.classes()") if output["name"] == "stdout")
    assert any(name in printed for name in ("wall", "floor"))
    assert (notebook[1] / "labeled.ply").stat().st_size > 100_000


def test_it_shows_the_viewer(notebook):
    (cell,) = [cell for cell in notebook[0].cells if cell.cell_type == "code" and cell.source == "result"]
    page = cell.outputs[0]["data"]["text/html"]
    assert page.startswith("<iframe srcdoc=")
    assert "Content-Security-Policy" in page
