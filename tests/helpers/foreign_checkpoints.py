"""Checkpoints as other projects write them: weights beside objects, under other names, or no checkpoint at all."""

from __future__ import annotations

import argparse
import collections
import datetime
import io
import json
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf


class Config(dict):
    """A dict of another class, as of EasyDict or yacs."""


class Payload:
    """An object whose unpickling would run code."""

    def __reduce__(self):
        return print, ("code ran",)


def objects() -> dict[str, Any]:
    """Values that lie beside the weights in published checkpoints."""
    return {
        "numpy_number": np.float64(72.2),  # SpatioTemporalSegmentation, Pointcept
        "numpy_array": np.arange(4),
        "numpy_dtype": np.dtype("f4"),
        "numpy_state": np.random.default_rng(0),
        "namespace": argparse.Namespace(config=argparse.Namespace(lr=0.1)),  # Lightning
        "omegaconf": OmegaConf.create({"lr": 0.1, "steps": [1, 2]}),  # Mask3D
        "class": Config,
        "function": argparse.ArgumentParser.parse_args,
        "path": pathlib.PurePosixPath("/data/scannet"),
        "time": datetime.datetime(2020, 1, 2),
        "set": {1, 2},
        "deque": collections.deque([1, 2]),
        "defaultdict": collections.defaultdict(list, a=[1]),
        "counter": collections.Counter({3: 1}),
        "complex": 1j,
        "bytes": b"abc",
        "large_integer": 10**80,
        "dtype": torch.float32,
        "device": torch.device("cpu"),
        "code": Payload(),
    }


def beside(state: Mapping[str, torch.Tensor]) -> dict[Any, Any]:
    """Weights with all of ``objects`` around them, also as keys."""
    return {"epoch": 3, "state_dict": dict(state), Config: "a class as a key", ("a", 1): 2, **objects()}


def zipped(**members: bytes) -> bytes:
    """A zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


# Files that people pass as checkpoints: the bytes, and what the message has to say.
NO_CHECKPOINTS = {
    "empty": (b"", "an empty file"),
    "zeros": (bytes(5000), "only zeros"),
    "html": (b"\n<!DOCTYPE html><html><title>Sign in</title></html>", "an HTML page.*browser"),
    "html with a mark": (b"\xef\xbb\xbf<html lang='en'>" + b"a" * 9000, "an HTML page"),
    "lfs pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 152000000\n",
        "a Git LFS pointer.*git lfs pull",
    ),
    "annex pointer": (b"/annex/objects/MD5E-s152000000--0.pth\n", "a Git LFS pointer"),
    "json": (json.dumps({"error": "Repository not found"}).encode(), "a JSON text.*Repository not found"),
    "long json": (json.dumps({"message": "a" * 9000}).encode(), "a JSON text"),
    "xml": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML text.*AccessDenied"),
    "text": (b"404: Not Found", "a text, not a checkpoint .404: Not Found."),
    "text in utf-16": ("Zugriff verweigert\r\n".encode("utf-16"), "a text, not a checkpoint .Zugriff"),
    "gzip": (b"\x1f\x8b\x08" + bytes(90), "a gzip archive; unpack it"),
    "zip": (zipped(**{"weights/model.pth": b"abc"}), "a zip archive of other files .weights/model.pth."),
    "cut zip": (zipped(**{"a/data.pkl": b"abc" * 99})[:-50], "cut off before its end"),
    "npy": (b"\x93NUMPY\x01\x00" + bytes(90), "a NumPy array, not a checkpoint"),
    "ply": (b"ply\nformat ascii 1.0\n", "a PLY file, not a checkpoint"),
}
