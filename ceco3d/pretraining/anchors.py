"""Text anchors: a language model's embedding of each class name, toward which LGround pulls features.

The included table is by all-MiniLM-L6-v2 (Apache-2.0); ``scripts/make_anchors.py`` makes it. LGround itself uses
512-dimensional CLIP embeddings, which the source ``clip`` computes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ceco3d.data.labels import LabelSpace
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line, read_npy, reading

# 384-dimensional embeddings of the class names of all label spaces.
MINILM = Path(__file__).with_name("anchors-minilm.safetensors")
MINILM_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
CLIP_MODEL = ("ViT-B-32", "openai")  # 512 dimensions, as LGround's table has
SOURCES = "minilm, clip, sentence-transformers or a .npy or .safetensors file"


def load_anchors(source: str | Path, space: LabelSpace) -> Tensor:
    """(K, d) float32, one row per class of ``space`` by training index; rows need not have unit length.

    source  "minilm": the included table (d = 384)
            "clip": computed by CLIP ViT-B/32 (d = 512); needs open_clip
            "sentence-transformers" or "sentence-transformers:MODEL": computed by MODEL, a name or a folder
            a ``.npy`` file: (K, d) in the order of training indices
            a ``.safetensors`` file with one tensor (M, d): with ``names`` (a JSON list of M class names) in its
            metadata the rows are looked up by name, else they are in the order of training indices

    UserError if a file does not fit the label space or a package is missing.
    """
    source = str(source)
    kind, _, model = source.partition(":")
    if kind == "minilm":
        source, anchors = MINILM.name, _read_safetensors(MINILM, space)
    elif kind == "clip":
        anchors = embed_with_clip(texts(space.names))
    elif kind == "sentence-transformers":
        anchors = embed_with_sentence_transformers(texts(space.names), model or MINILM_MODEL)
    else:
        anchors = _read_file(Path(source), space)
    return _checked(anchors, source, space)


def save_anchors(path: Path, anchors: Tensor, names: Sequence[str]) -> None:
    """Write ``anchors`` (K, d) with the class name of each row, for ``load_anchors``."""
    save_file({"anchors": anchors.contiguous()}, path, metadata={"names": json.dumps(list(names))})


def texts(names: Sequence[str]) -> list[str]:
    """The text that the language model reads for each class name."""
    return ["other furniture" if name == "otherfurniture" else name for name in names]


def embed_with_clip(sentences: Sequence[str]) -> Tensor:
    """(K, 512) float32 text embeddings of CLIP ViT-B/32; downloads the model once. UserError without open_clip."""
    try:
        import open_clip
    except ImportError as error:
        raise UserError("anchors from clip need open_clip: pip install open_clip_torch") from error
    name, weights = CLIP_MODEL
    model = open_clip.create_model(name, pretrained=weights).eval()
    with torch.inference_mode():
        embeddings: Tensor = model.encode_text(open_clip.get_tokenizer(name)(list(sentences)))
        return embeddings.float().clone()


def embed_with_sentence_transformers(sentences: Sequence[str], model: str) -> Tensor:
    """(K, d) float32 embeddings by ``model``, a name on the Hugging Face hub or a folder. UserError without it."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise UserError(
            "anchors from sentence-transformers need that package: pip install sentence-transformers"
        ) from error
    encoder = SentenceTransformer(model, device="cpu")
    return torch.from_numpy(np.asarray(encoder.encode(list(sentences)), np.float32))


def _read_file(path: Path, space: LabelSpace) -> Tensor:
    if path.suffix in (".pkl", ".pickle", ".pt", ".pth"):
        raise UserError(f"{path}: pickles can run code; convert it with python scripts/convert_anchors.py {path}")
    if path.suffix not in (".npy", ".safetensors"):
        raise UserError(f"anchors {path}: choose {SOURCES}")
    if not path.is_file():
        raise UserError(f"{path}: no such file of anchors")
    if path.suffix == ".safetensors":
        return _read_safetensors(path, space)
    try:
        array = read_npy(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable array ({error})") from error
    if array.dtype.kind not in "fiu":
        raise UserError(f"{path}: has {one_line(array.dtype)}, not numbers")
    return torch.from_numpy(array.astype(np.float32))


def _read_safetensors(path: Path, space: LabelSpace) -> Tensor:
    try:
        with reading(), safe_open(path, "pt") as file:
            keys, metadata = list(file.keys()), file.metadata() or {}
            tensors: list[Tensor] = [file.get_tensor(key) for key in keys[:1]]
            names = json.loads(metadata["names"]) if "names" in metadata else None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error})") from error
    if len(keys) != 1:
        raise UserError(f"{path}: holds {len(keys)} tensors; anchors are one tensor (classes, dimensions)")
    if names is None:
        return tensors[0]
    if not isinstance(names, list) or len(names) != len(tensors[0]):
        raise UserError(f"{path}: its metadata must name each of the {len(tensors[0])} rows of anchors")
    row = {name: index for index, name in enumerate(names)}
    missing = [name for name in space.names if name not in row]
    if missing:
        listed = ", ".join(missing[:5]) + (", ..." if missing[5:] else "")
        raise UserError(f"{path}: no anchors for {len(missing)} of the {len(space)} classes of {space.name} ({listed})")
    return tensors[0][[row[name] for name in space.names]]


def _checked(anchors: Tensor, source: str, space: LabelSpace) -> Tensor:
    """``anchors`` as float32; UserError unless they are (K, d), finite and have no zero row."""
    if anchors.ndim != 2 or len(anchors) != len(space) or anchors.shape[1] < 2:
        raise UserError(
            f"anchors {source}: shape {tuple(anchors.shape)}, not one row for each of the {len(space)} classes of "
            f"{space.name}"
        )
    anchors = anchors.float()
    bad = (~anchors.isfinite().all(1) | (anchors == 0).all(1)).nonzero().flatten().tolist()
    if bad:
        raise UserError(f"anchors {source}: not finite or zero in the row of {space.names[bad[0]]!r}")
    return anchors
