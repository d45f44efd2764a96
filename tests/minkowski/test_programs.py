"""Programs that import MinkowskiEngine, as people write them: run unchanged, and on this package by name."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

import ceco3d.minkowski as ME
from tests.helpers.minkowski_engine import minkowski_engine, needs_minkowski

ROOT = Path(__file__).parents[2]

SEGMENTATION = """
    import torch
    import MinkowskiEngine as ME

    torch.manual_seed(0)

    class Net(ME.MinkowskiNetwork):
        def __init__(self):
            super().__init__(3)
            self.down = ME.MinkowskiConvolution(3, 16, kernel_size=3, stride=2, dimension=3)
            self.norm = ME.MinkowskiBatchNorm(16)
            self.relu = ME.MinkowskiReLU(inplace=True)
            self.up = ME.MinkowskiConvolutionTranspose(16, 16, kernel_size=2, stride=2, dimension=3)
            self.final = ME.MinkowskiConvolution(19, 2, kernel_size=1, bias=True, dimension=3)

        def forward(self, x):
            return self.final(ME.cat(self.up(self.relu(self.norm(self.down(x)))), x))

    points = [torch.rand(300, 3) * 8 for _ in range(2)]
    labels = [(p[:, 2] > 4).long() for p in points]
    items = [ME.utils.sparse_quantize(p, p, l, ignore_label=-100) for p, l in zip(points, labels)]
    coords, feats, labels = ME.utils.sparse_collate(*zip(*items))
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    criterion = torch.nn.CrossEntropyLoss(ignore_index=-100)
    for step in range(15):
        loss = criterion(net(ME.SparseTensor(feats, coords)).F, labels.long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(loss.item())
"""

CLASSIFICATION = """
    import torch
    import torch.nn as nn
    import MinkowskiEngine as ME
    from MinkowskiEngine.modules.resnet_block import BasicBlock

    torch.manual_seed(0)
    shapes = [nn.functional.normalize(torch.randn(200, 3)) if i % 2 else torch.rand(200, 3) * 2 - 1 for i in range(8)]
    coords = ME.utils.batched_coordinates([s / 0.2 for s in shapes], dtype=torch.float32)
    feats, labels = torch.cat(shapes), torch.arange(8) % 2
    mlp = nn.Sequential(ME.MinkowskiLinear(3, 16), ME.MinkowskiBatchNorm(16), ME.MinkowskiReLU())
    net = nn.Sequential(
        mlp,
        ME.MinkowskiToSparseTensor(),
        BasicBlock(16, 16, dimension=3),
        ME.MinkowskiMaxPooling(kernel_size=3, stride=2, dimension=3),
        ME.MinkowskiConvolution(16, 32, kernel_size=3, stride=2, dimension=3),
        ME.MinkowskiInstanceNorm(32),
        ME.MinkowskiGELU(),
        ME.MinkowskiGlobalMaxPooling(),
        ME.MinkowskiLinear(32, 2),
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for step in range(15):
        out = net(ME.TensorField(coordinates=coords, features=feats))
        loss = nn.functional.cross_entropy(out.F, labels[out.C[:, 0].long()])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(loss.item())
"""

COMPLETION = """
    import torch
    import torch.nn as nn
    import MinkowskiEngine as ME

    torch.manual_seed(0)

    class Complete(nn.Module):
        def __init__(self):
            super().__init__()
            self.down = ME.MinkowskiConvolution(1, 16, kernel_size=2, stride=2, dimension=3)
            self.up = ME.MinkowskiGenerativeConvolutionTranspose(16, 16, kernel_size=2, stride=2, dimension=3)
            self.elu, self.union, self.pruning = ME.MinkowskiELU(), ME.MinkowskiUnion(), ME.MinkowskiPruning()
            self.smooth = ME.MinkowskiConvolution(16, 16, kernel_size=3, dimension=3)
            self.embed = ME.MinkowskiConvolution(1, 16, kernel_size=1, dimension=3)
            self.exists = ME.MinkowskiConvolution(16, 1, kernel_size=1, bias=True, dimension=3)

        def forward(self, x, target_key):
            y = self.union(self.up(self.elu(self.down(x))), self.embed(x))
            score = self.exists(self.elu(self.smooth(y)))
            target = torch.zeros(len(score), dtype=torch.bool)
            kernel_map = score.coordinate_manager.kernel_map(
                score.coordinate_map_key, target_key, kernel_size=1, region_type=ME.RegionType.HYPER_CUBE
            )
            for pairs in kernel_map.values():
                target[pairs[0].long()] = True
            keep = (score.F > 0).squeeze(1)
            return score, target, self.pruning(y, keep | target)

    full = torch.cartesian_prod(*[torch.arange(8)] * 3)
    full = full[(full[:, 0] == full[:, 1])]
    partial = full[torch.rand(len(full)) < 0.5]
    net = Complete()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3, momentum=0.9)
    for step in range(15):
        x = ME.SparseTensor(torch.ones(len(partial), 1), ME.utils.batched_coordinates([partial]))
        key, _ = x.coordinate_manager.insert_and_map(ME.utils.batched_coordinates([full]), string_id="target")
        score, target, completed = net(x, key)
        loss = nn.functional.binary_cross_entropy_with_logits(score.F.squeeze(1), target.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(loss.item())
    assert len(partial) < len(completed) <= len(score), (len(partial), len(completed), len(score))
"""

PROGRAMS = {"segmentation": SEGMENTATION, "classification": CLASSIFICATION, "completion": COMPLETION}
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def text_of(name: str, package: str = "MinkowskiEngine") -> str:
    text = textwrap.dedent(PROGRAMS[name])
    return text.replace("import MinkowskiEngine as", f"import {package} as").replace(
        "MinkowskiEngine.m", f"{package}.m"
    )


def losses(printed: str) -> list[float]:
    return [float(line) for line in printed.splitlines()]


def run(*arguments, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ceco3d.minkowski", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)


def here(name: str, package: str, capsys) -> list[float]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        exec(compile(text_of(name, package), name, "exec"), {"__name__": name})
    finally:
        torch.set_num_threads(threads)
    return losses(capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_trains_and_is_the_same_under_the_name_minkowskiengine(name, tmp_path, capsys):
    (tmp_path / "program.py").write_text(text_of(name))
    done = run("program.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = here(name, "ceco3d.minkowski", capsys)
    assert len(found) == 15
    assert found[-1] < 0.5 * found[0]
    assert losses(done.stdout) == found


@needs_minkowski
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_learns_as_with_minkowskiengine(name, capsys):
    minkowski_engine()
    theirs, ours = (here(name, package, capsys) for package in ("MinkowskiEngine", "ceco3d.minkowski"))
    assert ours == pytest.approx(theirs, rel=1e-3)


def test_arguments_and_neighbors_are_the_programs(tmp_path):
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "neighbor.py").write_text("import MinkowskiEngine as ME\nname = ME.__name__\n")
    (folder / "program.py").write_text("import sys, neighbor\nprint(sys.argv, neighbor.name, __name__, __file__)\n")
    (folder / "alone.py").write_text("import sys, MinkowskiEngine\nprint(sys.argv[1:], MinkowskiEngine.__name__)\n")
    done = run("programs/program.py", "--lr", "1", cwd=tmp_path)
    assert done.stdout == "['programs/program.py', '--lr', '1'] ceco3d.minkowski __main__ programs/program.py\n", (
        done.stderr
    )
    assert run("-m", "programs.alone", "x", cwd=tmp_path).stdout == "['x'] ceco3d.minkowski\n"


def test_processes_that_a_program_starts_get_the_same_package(tmp_path):
    (tmp_path / "program.py").write_text(
        textwrap.dedent(
            """
            import multiprocessing
            import MinkowskiEngine as ME

            def name(_):
                import MinkowskiEngine.MinkowskiFunctional as MF
                return ME.__name__, MF.relu.__module__

            if __name__ == "__main__":
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    print(*pool.map(name, [0])[0])
            """
        )
    )
    done = run("program.py", cwd=tmp_path)
    assert done.stdout == "ceco3d.minkowski ceco3d.minkowski.functional\n", done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage: python -m ceco3d.minkowski PROGRAM.py"),
        (["-m"], "usage: python -m ceco3d.minkowski PROGRAM.py"),
        (["absent.py"], "no program absent.py"),
    ],
)
def test_a_missing_program_is_one_line_and_code_2(arguments, message, tmp_path):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr


NAMES = """
    import MinkowskiEngine, MinkowskiEngine.utils, MinkowskiEngine.utils.quantization, MinkowskiEngine.modules
    import MinkowskiEngine.MinkowskiFunctional as MF
    import MinkowskiEngine.MinkowskiOps as me
    import MinkowskiEngine.MinkowskiSparseTensor as tensors
    import MinkowskiFunctional, MinkowskiOps, MinkowskiPooling
    from MinkowskiEngine import SparseTensor, MinkowskiConvolution
    from MinkowskiEngine.MinkowskiConvolution import MinkowskiConvolutionTranspose
    from MinkowskiEngine.MinkowskiPooling import MinkowskiAvgPooling
    from MinkowskiEngine.modules.resnet_block import BasicBlock, Bottleneck
    from MinkowskiEngine.modules.senet_block import SEBasicBlock
    from MinkowskiEngine.utils import sparse_quantize
    from MinkowskiCommon import convert_to_int_list
    from MinkowskiTensor import SparseTensorQuantizationMode
    from MinkowskiSparseTensor import SparseTensor as same
    from MinkowskiEngineBackend._C import CoordinateMapKey, PoolingMode, quantize_np
    assert same is SparseTensor is tensors.SparseTensor is me.SparseTensor
    assert MF is MinkowskiFunctional and me.cat is MinkowskiOps.cat
    assert MinkowskiEngine.MinkowskiConvolution is MinkowskiConvolution
    for module in (MinkowskiEngine, MinkowskiPooling):
        try:
            module.MinkowskiFoo
        except AttributeError as error:
            print(error)
"""


def test_every_way_to_import_gives_the_same_names(tmp_path):
    (tmp_path / "program.py").write_text(textwrap.dedent(NAMES))
    done = run("program.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("ceco3d.minkowski has no MinkowskiFoo")
    assert second.endswith("see docs/minkowski.md")


@needs_minkowski
def test_a_minkowskiengine_that_was_imported_before_is_an_error(tmp_path):
    code = "import ceco3d.sparse.minkowski, ceco3d.minkowski as ME\nME.install()\n"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True)
    assert "ImportError: MinkowskiEngine was imported before, from" in done.stderr


@needs_minkowski
def test_every_name_of_minkowskiengine_is_here_or_known_to_be_absent():
    theirs = minkowski_engine()
    names = {name for name, value in vars(theirs).items() if getattr(value, "__module__", "").startswith("Minkowski")}
    assert len(names) > 90
    assert {name for name in names if not hasattr(ME, name)} == {"KernelRegion", "convert_region_type"}
