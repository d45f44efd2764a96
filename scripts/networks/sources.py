"""Networks of other people that run on MinkowskiEngine: where their files are, how their own programs build them."""

from __future__ import annotations

import io
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ceco3d.utils.errors import UserError


@dataclass(frozen=True)
class Network:
    """A class in a repository.

    folder     in the repository: what its programs put on sys.path
    module     of the class; its package's own __init__.py is not run, as most import CUDA extensions
    channels   in, out
    arguments  of the class by name, beside channels and dimension
    config     what the class reads of its configuration, with dots; None: the class takes no configuration
    edits      (old, new) text in the files, for both engines
    program    beside this file, if the network needs one: its build() is called instead of the class, and its call()
    """

    name: str
    repository: str
    commit: str
    folder: str
    module: str
    builder: str
    channels: tuple[int, int]
    arguments: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] | None = None
    dimension: int = 3
    edits: tuple[tuple[str, str], ...] = ()
    program: str | None = None


API_04 = (  # MinkowskiEngine 0.4's names -> those of 0.5
    ("RegionType.HYPERCUBE", "RegionType.HYPER_CUBE"),
    ("RegionType.HYPERCROSS", "RegionType.HYPER_CROSS"),
    ("RegionType.HYBRID", "RegionType.HYPER_CUBE"),  # in 3D all its axes are cubic
    ("axis_types=axis_types", "axis_types=None"),
    ("{m.value: m for m in ME.RegionType}", "{}"),  # not used by the network
    ("has_bias=", "bias="),
    ("coords_key=contrastive.coords_key", "coordinate_map_key=contrastive.coordinate_map_key"),
    ("coords_manager=contrastive.coords_man", "coordinate_manager=contrastive.coordinate_manager"),
)
NORM_04 = (("MinkowskiInstanceNorm(num_feats, dimension=D)", "MinkowskiInstanceNorm(num_feats)"),)
ANY_TYPE = (  # Mask3D puts its coordinates into float32
    ("[None, ...].float()", "[None, ...].to(self.decoder_norm.weight.dtype)"),
    ("sampled_coords.float()", "sampled_coords"),
)
CSC = ("facebookresearch/ContrastiveSceneContexts", "83515bef4754b3d90fc3b3a437fa939e0e861af8")
STS = ("chrischoy/SpatioTemporalSegmentation", "5af74cbc57c8c431851223963886d39f724e4b14", "")  # branch v0.5
LANGUAGE = ("RozDavid/LanguageGroundedSemseg", "3af87e933064414e7801dba82932b9f1a3440ae0", "")
MASK3D = ("JonasSchult/Mask3D", "11bd5ff94477ff7194e9a7c52e9fae54d73ac3b5", "")
FCGF = ("chrischoy/FCGF", "fe00128cc15bab393df00f311b90817b2503ae15", "")  # branch v0.5
MINKUNET = {"conv1_kernel_size": 5, "bn_momentum": 0.02, "dilations": (1, 1, 1, 1)}
CSC_CONFIG = {"net.conv1_kernel_size": 3, "net.normalize_feature": True, "opt.bn_momentum": 0.05}
FCGF_ARGUMENTS = {"bn_momentum": 0.05, "normalize_feature": True, "conv1_kernel_size": 5}

FIVE = (
    Network(
        "ContrastiveSceneContexts", *CSC, "pretrain/contrastive_scene_contexts", "model.res16unet", "Res16UNet34C",
        (3, 32), config=CSC_CONFIG, edits=API_04,
    ),
    Network("SpatioTemporalSegmentation", *STS, "models.res16unet", "Res16UNet34C", (3, 20), config=MINKUNET),
    Network("LanguageGroundedSemseg", *LANGUAGE, "models.clip_models", "Res16UNet34D", (3, 200), config=MINKUNET),
    Network("Mask3D", *MASK3D, "models.res16unet", "Res16UNet34C", (3, 200), {"out_fpn": True}, MINKUNET),
    Network("FCGF", *FCGF, "model.resunet", "ResUNetBN2C", (1, 32), FCGF_ARGUMENTS),
)  # fmt: skip
MORE = (  # what the five do not use: pooling and its transpose, instance norms, strides of odd kernels, 4D, crosses
    Network("STS ResNet50", *STS, "models.resnet", "ResNet50", (3, 20), config=MINKUNET),
    Network("STS ResUNet18INBN", *STS, "models.resunet", "ResUNet18INBN", (3, 20), config=MINKUNET),
    Network("STS MinkUNetHyper14INBN", *STS, "models.resunet", "MinkUNetHyper14INBN", (3, 20), config=MINKUNET),
    Network("FCGF ResUNetIN2C", *FCGF, "model.resunet", "ResUNetIN2C", (1, 32), FCGF_ARGUMENTS, edits=NORM_04),
    Network("FCGF SimpleNetIN", *FCGF, "model.simpleunet", "SimpleNetIN", (1, 32), FCGF_ARGUMENTS, edits=NORM_04),
    Network(
        "LGS STResTesseract16UNet18A", *LANGUAGE, "models.res16unet", "STResTesseract16UNet18A",
        (3, 20), config=MINKUNET, dimension=4,
    ),
    Network(
        "Mask3D whole", *MASK3D, "models.mask3d", "Mask3D", (3, 20), config=MINKUNET, edits=ANY_TYPE, program="mask3d"
    ),
)  # fmt: skip
NETWORKS = {network.name: network for network in (*FIVE, *MORE)}


def fetch(network: Network, sources: Path | None, into: Path) -> Path:
    """The network's files at its commit, below ``into``, with its edits.

    They come from the git repository ``sources``/NAME, or from GitHub if that is None. Raises UserError, and
    CalledProcessError when git fails.
    """
    name = network.repository.partition("/")[2]
    repository = into / f"{name}.git" if sources is None else sources / name
    url = f"https://github.com/{network.repository}"
    if sources is not None and not repository.exists():
        raise UserError(f"{repository}: no git repository; clone {url} there")
    if not repository.exists():
        subprocess.run(["git", "init", "--quiet", "--bare", repository], check=True)
        subprocess.run(["git", "-C", repository, "fetch", "--quiet", "--depth=1", url, network.commit], check=True)
    package = str(Path(network.folder) / network.module.partition(".")[0])
    command = ["git", "-C", str(repository), "archive", network.commit, package]
    archive = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    folder = into / network.name.replace(" ", "_")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    for path in (folder / package).rglob("*.py"):
        text = path.read_text()
        for old, new in network.edits:
            text = text.replace(old, new)
        path.write_text(text)
    return folder
