"""Text anchors: the shipped table, files of users, and pickles that must not run."""

import importlib.util
import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ceco3d.data.labels import label_space
from ceco3d.pretraining.anchors import load_anchors, save_anchors
from ceco3d.utils.errors import UserError

SPACE = label_space("scannet200")
SCRIPT = Path(__file__).parents[2] / "scripts" / "convert_anchors.py"


@pytest.fixture(scope="module")
def convert():
    spec = importlib.util.spec_from_file_location("convert_anchors", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def table(rows=200, width=6):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["scannet200", "scannet20"])
def test_the_shipped_table_fits_every_label_space_and_knows_what_words_mean(name):
    space = label_space(name)
    anchors = load_anchors("minilm", space)
    assert anchors.shape == (len(space), 384)
    assert anchors.dtype == torch.float32
    torch.testing.assert_close(anchors.norm(dim=1), torch.ones(len(space)), rtol=0, atol=1e-3)
    cosines = anchors @ anchors.T
    chair, seat, wall = (
        space.names.index(n) for n in ("chair", "armchair" if name == "scannet200" else "sofa", "wall")
    )
    assert cosines[chair, seat] > cosines[chair, wall] + 0.1
    assert cosines.fill_diagonal_(0).max() < 0.95, "two classes with the same anchor"


def test_rows_of_both_spaces_are_the_same_by_name():
    small, large = (load_anchors("minilm", label_space(n)) for n in ("scannet20", "scannet200"))
    for name in ("wall", "shower curtain", "toilet"):
        index = label_space("scannet20").names.index(name), SPACE.names.index(name)
        assert torch.equal(small[index[0]], large[index[1]])


def test_files_of_users(tmp_path):
    np.save(tmp_path / "a.npy", table().numpy())
    save_file({"text": table()}, tmp_path / "b.safetensors")
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    save_anchors(tmp_path / "c.safetensors", table()[order], [SPACE.names[i] for i in order])
    for name in ("a.npy", "b.safetensors", "c.safetensors"):
        assert torch.equal(load_anchors(tmp_path / name, SPACE), table()), name


def bad_files(folder):
    np.save(folder / "rows.npy", table(199).numpy())
    np.save(folder / "flat.npy", table().numpy()[:, 0])
    np.save(folder / "text.npy", np.array(["chair"] * 200))
    np.save(folder / "objects.npy", np.array([{}] * 200, object), allow_pickle=True)
    broken = table()
    broken[7, 2] = float("nan")
    np.save(folder / "nan.npy", broken.numpy())
    save_anchors(folder / "names.safetensors", table(), [f"{name}?" for name in SPACE.names])
    save_file({"a": table(), "b": table()}, folder / "two.safetensors")
    save_file({"a": table()}, folder / "few.safetensors", metadata={"names": json.dumps(["wall"])})
    (folder / "damaged.safetensors").write_bytes(b"nothing")
    (folder / "clip.pkl").write_bytes(pickle.dumps(table().numpy()))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rows.npy", r"shape \(199, 6\), not one row for each of the 200"),
        ("flat.npy", r"shape \(200,\)"),
        ("text.npy", "not numbers"),
        ("objects.npy", "not a readable array"),
        ("nan.npy", "not finite or zero in the row of 'shelf'"),
        ("names.safetensors", r"no anchors for 200 of the 200 classes of scannet200 \(wall"),
        ("two.safetensors", "holds 2 tensors"),
        ("few.safetensors", "name each of the 200 rows"),
        ("damaged.safetensors", "not a readable safetensors"),
        ("clip.pkl", "scripts/convert_anchors.py"),
        ("missing.npy", "no such file"),
        ("words.txt", "choose minilm, clip"),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path, name, message):
    bad_files(tmp_path)
    with pytest.raises(UserError, match=message):
        load_anchors(tmp_path / name, SPACE)


@pytest.mark.parametrize(("source", "module"), [("clip", "open_clip"), ("sentence-transformers", None)])
def test_a_missing_package_is_named(monkeypatch, source, module):
    monkeypatch.setitem(sys.modules, module or "sentence_transformers", None)
    with pytest.raises(UserError, match="pip install"):
        load_anchors(source, SPACE)


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("kind", ["array", "variants", "list", "names", "tensor", "saved"])
def test_pickles_of_arrays_are_converted(tmp_path, convert, kind, protocol):
    anchors = table()
    content = {
        "array": anchors.numpy(),
        "variants": torch.stack([anchors, anchors + 1], 1).numpy(),
        "list": list(anchors.half().numpy()),
        "names": {name: anchors[i].numpy() for i, name in reversed(list(enumerate(SPACE.names)))},
        "tensor": anchors,
        "saved": {name: anchors[i] for i, name in enumerate(SPACE.names)},
    }[kind]
    source, out = tmp_path / "a.pkl", tmp_path / "a.safetensors"
    if kind == "saved":
        torch.save(content, source)
    else:
        source.write_bytes(pickle.dumps(content, protocol=protocol))
    convert([str(source), str(out)])
    torch.testing.assert_close(load_anchors(out, SPACE), anchors, rtol=0, atol=2e-3 if kind == "list" else 0)


class Malicious:
    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def malicious(target):
    """Pickles that try to leave the file ``target`` behind, from the plain to the hidden."""
    plain = Malicious(Path.touch, Path(target))
    return {
        "plain": pickle.dumps(plain),
        "eval": pickle.dumps(Malicious(eval, f"open({target!r}, 'w')")),
        "in an array": pickle.dumps(np.array([plain], object)),
        "in a dict": pickle.dumps({"wall": [1.0, plain]}),
        "in a storage": pickle.dumps(Malicious(torch.storage._load_from_bytes, pickle.dumps(plain))),
        "objects as numbers": pickle.dumps(np.array([{}], object)),
        "numpy's loader": pickle.dumps(Malicious(np.load, target)),
        "damaged": pickle.dumps(table().numpy())[:-40],
    }


def test_these_pickles_are_malicious(tmp_path):
    for kind in ("plain", "eval", "in an array", "in a dict"):
        target = tmp_path / kind
        pickle.loads(malicious(str(target))[kind])
        assert target.exists()


@pytest.mark.parametrize("kind", sorted(malicious("")))
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_never_runs_code(tmp_path, convert, capsys, kind):
    target, source, out = (tmp_path / name for name in ("owned", "bad.pkl", "out.safetensors"))
    source.write_bytes(malicious(str(target))[kind])
    with pytest.raises(SystemExit) as ended:
        convert([str(source), str(out)])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not target.exists()
    assert not out.exists()


def test_a_pickle_of_other_classes_is_refused(tmp_path, convert, capsys):
    for content, message in [
        ({"wall": np.ones(3)}, "no embedding of 199 of the 200"),
        (np.ones((20, 3)), "20 rows"),
        ("text", "not a table"),
    ]:
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
        with pytest.raises(SystemExit):
            convert([str(tmp_path / "a.pkl"), str(tmp_path / "a.safetensors")])
        assert message in capsys.readouterr().err
