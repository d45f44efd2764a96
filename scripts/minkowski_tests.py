"""Run MinkowskiEngine's own tests and examples on ceco3d.minkowski, and write a table of what came out.

``python scripts/minkowski_tests.py [FOLDER]``: FOLDER is a checkout of NVIDIA/MinkowskiEngine; without one it is cloned
from GitHub. ``--beside`` also runs the tests on MinkowskiEngine itself, where it is installed. ``--only WORD`` runs
files whose name has that word. Needs pytest. Without a GPU all tests run a second time on a copy that reads "cuda" as
"cpu", because those that ask for a GPU fail or return at once: a test passes if it does both times, "as cpu" if it does
the second time alone.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import torch

ROOT = Path(__file__).resolve().parents[1]
STAND_INS = ROOT / "scripts/minkowski_stand_ins"
URL, COMMIT = "https://github.com/NVIDIA/MinkowskiEngine", "02fc608bea4c0549b0a7b00ca1bf15dee4a0b228"
TEST_SECONDS, EXAMPLE_SECONDS = 120, 300

LEAF = "writes into a parameter, which torch refuses"
PAIRS = "expects 16 pairs; MinkowskiEngine itself finds 26, as we do"
# What a file or a test cannot show here, and why.
NOT_APPLICABLE = {
    "chwise_conv": "imports tests.common of MinkowskiEngine 0.4, which is gone",
    "conv_on_coords": "imports tests.common of MinkowskiEngine 0.4, which is gone",
    "global": "a timing, no test",
    "strided_conv": "a timing, no test",
    "network_speed": "a timing, no test",
    "convolution::TestConvolution::test_analytic": LEAF,
    "convolution::TestConvolutionTranspose::test_analytic": LEAF,
    "convolution::TestConvolutionTranspose::test_analytic_odd": LEAF,
    "kernel_map::TestKernelMap::test_kernelmap": PAIRS,
    "kernel_map::TestKernelMap::test_kernelmap_gpu": PAIRS,
    "pruning::TestPruning::test_with_convtr": "passes generate_new_coords of MinkowskiEngine 0.4",
    "convolution::TestPCD::test_forward": "times two algorithms of MinkowskiEngine on a GPU",
    "convolution::TestPCD::test_backward": "times two algorithms of MinkowskiEngine on a GPU",
}

# For a torch of today, and to end in time: endless loops that look for leaks, and four tests without the prefix.
EDITS = (
    (r"LEAK_TEST_ITER = \d+", "LEAK_TEST_ITER = 3"),
    (r"range\(1000\)", "range(2)"),
    (r"def (slice|slice_no_duplicate|stride_slice|field_to_sparse)\(self\)", r"def test_\1(self)"),
    (r"(\w+_iter)\.next\(\)", r"next(\1)"),
)
WITHOUT_GPU = (
    (r"if not (\w+\.)*(is_available|is_cuda_available)\(\):", "if False:"),
    (r"torch\.cuda\.(\w+Tensor)", r"torch.\1"),
    (r"(device\s*=\s*)(0|\"cuda\"|'cuda')", r'\1"cpu"'),
    (r"torch\.device\((\"cuda\"|'cuda')\)", 'torch.device("cpu")'),
    (r"\.to\((0|\"cuda\"|'cuda')\)", '.to("cpu")'),
    (r"\.cuda\(\)", ".cpu()"),
    (r"with torch\.cuda\.device\(0\)", "with torch.no_grad() if False else torch.enable_grad()"),
)


FAILED = ("failed", "not collected", "skipped")
Found = dict[tuple[str, str], list[str]]  # (file, test) -> how it ended, and why


class Example(NamedTuple):
    """One program of MinkowskiEngine's examples: its arguments, and what its output must hold.

    ends  why it ends with an error, with MinkowskiEngine itself too; the output must hold ``expects`` then too
    """

    name: str
    arguments: str = ""
    expects: str = ""
    ends: str = ""


EXAMPLES = (
    Example("example", expects="Iteration:  9"),
    Example("sparse_tensor_basic", expects="IndexError", ends="asks for batch item 3 of 2 in its last line"),
    Example("convolution"),
    Example("unet"),
    Example("stack_unet"),
    Example("minkunet", expects="Iteration:  9"),
    Example("resnet", expects="Iteration:  9"),
    Example("training", "--max_epochs 2 --batch_size 4", "Epoch: 1 iter: 50"),
    Example("indoor", "--use_cpu"),
    Example("completion", "--max_iter 3 --batch_size 1 --num_workers 0 --stat_freq 1 --resolution 32", "Iter: 2"),
    Example("reconstruction", "--max_iter 1 --batch_size 1 --num_workers 0 --stat_freq 1", "Iter: 0"),
    Example("vae", "--train --max_iter 3 --batch_size 1 --num_workers 0 --stat_freq 1 --resolution 32", "Iter: 2"),
    Example("pointnet", expects="Processed batch 1"),
    *(
        Example("classification_modelnet40", f"--network {network} --max_steps 4 --batch_size 8", "Test accuracy")
        for network in ("pointnet", "minkpointnet", "minkfcnn", "minksplatfcnn")
    ),
)


def main() -> int:
    """Print the tables; 1 if a test that applies failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="a checkout of MinkowskiEngine")
    parser.add_argument("--beside", action="store_true", help="also run the tests on MinkowskiEngine itself")
    parser.add_argument("--only", default="", help="run the files and examples with this word in their name")
    parser.add_argument("--part", choices=["tests", "examples"], help="run these only")
    parser.add_argument("--verbose", action="store_true", help="list every test")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        prepare(options.folder or clone(work / "source"), work)
        failed = 0 if options.part == "examples" else run_tests(work, options)
        failed += 0 if options.part == "tests" else run_examples(work, options.only)
    return int(failed > 0)


def clone(folder: Path) -> Path:
    """MinkowskiEngine's last commit, which calls itself 0.5.4."""
    subprocess.run(["git", "clone", "--quiet", URL, folder], check=True)
    subprocess.run(["git", "-C", folder, "checkout", "--quiet", COMMIT], check=True)
    return folder


def prepare(source: Path, work: Path) -> None:
    """Copies of tests and examples in ``work/gpu``, and in ``work/cpu`` with "cuda" read as "cpu"."""
    if not (source / "tests/python").is_dir():
        raise SystemExit(f"error: {source} has no tests/python: name a checkout of {URL}")
    for kind, edits in (("gpu", EDITS), ("cpu", (*EDITS, *WITHOUT_GPU))):
        for part in ("tests", "examples"):
            shutil.copytree(source / part, work / kind / part)
            (work / kind / part / "__init__.py").touch()
        for path in (work / kind).rglob("*.py"):
            text = path.read_text()
            for pattern, new in edits:
                text = re.sub(pattern, new, text)
            path.write_text(text)
        # Made-up scenes stand in for what the tests download; the files only have to be there.
        for name in ("1.ply", "modelnet40_ply_hdf5_2048.zip", "ModelNet40/chair/train/1.off", *SHAPES):
            path = work / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


SHAPES = [f"modelnet40_ply_hdf5_2048/ply_data_{phase}0.h5" for phase in ("train", "test")]


def environment(work: Path) -> dict[str, str]:
    """The variables of the processes: first the stand-ins, then the tests, then this checkout."""
    paths = [STAND_INS, work, ROOT]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "MPLBACKEND": "agg"}


def outcomes(engine: str, work: Path, names: Iterable[str]) -> Found:
    """How the tests of these files ended on ``engine``; the file during which the process dies is run no further."""
    found: Found = {}
    left = list(names)
    while left:
        out = work / f"{engine}.jsonl"
        out.write_text("")
        files = [f"tests/python/{name}.py" for name in left]
        child = [sys.executable, STAND_INS / "run_tests.py", engine, str(TEST_SECONDS), out, *files]
        done = subprocess.run(child, cwd=work, env=environment(work), capture_output=True, text=True)
        last = left[0]
        for line in out.read_text().splitlines():
            test, *result = json.loads(line)
            last = Path(test.partition("::")[0]).stem
            found[last, test.partition("::")[2]] = result
        if done.returncode in range(6):  # pytest's own codes
            return found
        found[last, "the process"] = ["failed", f"died with code {done.returncode}: {last_line(done.stderr)}"]
        left = left[left.index(last) + 1 :]
    return found


def on_both(engine: str, work: Path, names: Iterable[str]) -> Found:
    """``outcomes``; without a GPU also with "cuda" read as "cpu"."""
    found = outcomes(engine, work / "gpu", names)
    if torch.cuda.is_available():
        return found
    for test, result in outcomes(engine, work / "cpu", names).items():
        if result[0] != "passed":
            found[test] = [result[0], f"{result[1]} (with cuda read as cpu)"]
        elif found.get(test, ["failed"])[0] != "passed":
            found[test] = ["as cpu", ""]
    return found


def run_tests(work: Path, options: argparse.Namespace) -> int:
    """Run and print the table of all files; returns the number of failures."""
    files = sorted(path.stem for path in (work / "gpu/tests/python").glob("*.py"))
    files = [name for name in files if name not in ("__init__", "common") and options.only in name]
    run = [name for name in files if name not in NOT_APPLICABLE]
    ours = applicable(on_both("ceco3d", work, run))
    theirs = applicable(on_both("MinkowskiEngine", work, run)) if options.beside else {}
    rows = []
    for name in files:
        reasons = {why for (file, _), (how, why) in ours.items() if file == name and how == "n/a"}
        reasons |= {NOT_APPLICABLE[name]} if name in NOT_APPLICABLE else set()
        rows.append([name, *counts(ours, name), *(counts(theirs, name) if theirs else []), "; ".join(sorted(reasons))])
    columns = ["passed", "passed as cpu", "n/a", "failed"]
    beside = [f"{column}, MinkowskiEngine" for column in columns] if theirs else []
    total = [*counts(ours), *(counts(theirs) if theirs else [])]
    print(table(["tests", *columns, *beside, "why n/a"], [*rows, ["all", *total, ""]]))
    shown = {name: result for name, result in ours.items() if options.verbose or result[0] in FAILED}
    for (file, test), (how, why) in sorted(shown.items()):
        print(f"{file}::{test} {how} {why}")
    for (file, test), (how, why) in sorted(theirs.items()):
        print(*([f"MinkowskiEngine: {file}::{test} {how} {why}"] if how in FAILED else []), sep="\n", end="")
    return sum(how in FAILED for how, _ in ours.values())


def applicable(found: Found) -> Found:
    """``found``, with the tests of NOT_APPLICABLE marked so."""
    reasons = {(file, test): NOT_APPLICABLE.get(f"{file}::{test}") for file, test in found}
    return {name: ["n/a", reason] if (reason := reasons[name]) else result for name, result in found.items()}


def counts(found: Found, file: str | None = None) -> list[str]:
    """How many tests, of one file or of all, passed, passed on the copy without a GPU, do not apply, failed."""
    ends = [how for (name, _), (how, _) in found.items() if file in (name, None)]
    return [str(sum(end in kind for end in ends)) for kind in (("passed",), ("as cpu",), ("n/a",), FAILED)]


def run_examples(work: Path, only: str) -> int:
    """Run and print the table of the examples; returns the number of failures."""
    here = work / "gpu"
    (here / "weights.py").write_text(
        "import torch\nfrom examples.minkunet import MinkUNet34C\n"
        "torch.save(MinkUNet34C(3, 20).state_dict(), 'weights.pth')\n"
    )
    rows, failures = [], 0
    for name, arguments, expects, ends in [Example("weights"), *EXAMPLES]:
        if only not in name and name != "weights":
            continue
        module = name if name == "weights" else f"examples.{name}"
        command = [sys.executable, "-m", "ceco3d.minkowski", "-m", module, *arguments.split()]
        try:
            options = {"cwd": here, "env": environment(here), "capture_output": True, "text": True}
            done = subprocess.run(command, timeout=EXAMPLE_SECONDS, **options)
            text, code = done.stdout + done.stderr, done.returncode
        except subprocess.TimeoutExpired:
            text, code = f"took more than {EXAMPLE_SECONDS} s", 1
        ran = (code == 0 or ends) and expects in text
        failures += not ran
        why = f"{ends}, as with MinkowskiEngine: {expects}" if ends else ""
        rows.append([f"{name} {arguments}".strip(), "ran" if ran else "failed", why if ran else last_line(text)])
        print(*rows[-1], file=sys.stderr, flush=True)
    print(table(["example", "outcome", "why"], rows[1:]))
    return failures


def last_line(text: str) -> str:
    """The last line with words."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")[:200]


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
