"""The benchmark command."""

import json
import re

import pytest

SMALL = ["model=minkunet14a", "voxels=[2000]", "repeats=2", "classes=7", "voxel_size=0.1"]


def test_every_system_is_measured(run_command, tiny, tmp_path):
    outcome = run_command("benchmark", *tiny, *SMALL, f"out={tmp_path}", "systems=[native-bf16,native-fp32]")
    assert outcome.code == 0
    report = json.loads((tmp_path / "engines.json").read_text())
    (result,) = report["results"]
    assert result["voxels"] == 2000
    assert result["neighbors"] > 3
    assert set(result["systems"]) == {"native-bf16", "native-fp32"}
    for system in result["systems"].values():
        assert set(system["seconds"]) == {"maps", "forward", "inference", "training"}
        assert all(len(times) == 2 and min(times) > 0 for times in system["seconds"].values())
        assert 0 < system["maps_share"] < 1
        assert system["first"].keys() == system["seconds"].keys()
        assert 0.1 < system["peak_gib"]["forward"] < system["peak_gib"]["training"] < 8
    assert "| native-fp32 |" in (tmp_path / "engines.md").read_text()
    assert re.search(r"\d % of step", (tmp_path / "engines.md").read_text())


def test_one_scene_and_one_measure(run_command, tiny, tmp_path):
    root = next(argument.split("=")[1] for argument in tiny if argument.startswith("dataset.root="))
    scene = f"{root}/val/scene0013_00"
    arguments = [
        *SMALL,
        f"scene={scene}",
        "measure=[forward]",
        "voxels=[2000,3000]",
        "systems=[native-fp32]",
        f"out={tmp_path}",
    ]
    assert run_command("benchmark", *tiny, *arguments).code == 0
    report = json.loads((tmp_path / "engines.json").read_text())
    assert [result["voxels"] for result in report["results"]] == [2000, 3000]
    assert set(report["results"][0]["systems"]["native-fp32"]["seconds"]) == {"forward"}


def test_the_center_loss_is_measured(run_command, tiny, tmp_path):
    arguments = [*SMALL, "what=loss", "systems=[native-fp32]", f"out={tmp_path}"]
    assert run_command("benchmark", *tiny, *arguments).code == 0
    (result,) = json.loads((tmp_path / "loss.json").read_text())["results"]
    assert (result["voxels"], result["classes"]) == (2000, 7)
    assert 0 < result["share"] < 1
    assert "| native-fp32 |" in (tmp_path / "loss.md").read_text()


def test_a_step_is_profiled(run_command, tiny, tmp_path):
    outcome = run_command("benchmark", *tiny, *SMALL, "what=profile", "systems=[native-fp32]", f"out={tmp_path}")
    assert outcome.code == 0, outcome.err
    (result,) = json.loads((tmp_path / "profile.json").read_text())["results"]
    assert 0 < result["host"] <= result["step"]
    assert sum(kernel["launches"] for kernel in result["kernels"].values()) == result["launches"] > 100
    seconds = [kernel["seconds"] for kernel in result["kernels"].values()]
    assert seconds == sorted(seconds, reverse=True)
    assert "queued by the host" in (tmp_path / "profile.md").read_text()


def test_the_data_path_is_measured(run_command, tiny, tmp_path):
    arguments = ["what=data", "repeats=2", "data.points=30000", "data.scenes=20", "data.workers=1", f"out={tmp_path}"]
    outcome = run_command("benchmark", *tiny, *arguments)
    assert outcome.code == 0
    report = json.loads((tmp_path / "data.json").read_text())
    assert report["points"] == 30000
    results = report["results"]
    assert set(results["preprocess"]) == {"read mesh", "vertex normals", "write", "preprocess"}
    assert {"ElasticDistortion", "voxels and features", "all", "training"} < set(results["transforms"])
    for seconds in (*results["preprocess"].values(), *results["transforms"].values()):
        assert len(seconds["wall"]) == len(seconds["cpu"]) >= 2
    assert (results["loader"]["scenes"], len(results["loader"]["gib"])) == (20, 10)
    assert 0 < results["loader"]["cpu_seconds"] < 2
    assert "| ElasticDistortion |" in (tmp_path / "data.md").read_text()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("what=data2", "choose engines, roofline, profile, loss, data, utilization or tune"),
        ("data.workers=0", "data.workers=0"),
        ("systems=[torchsparse-fp32]", "torchsparse-fp32.*native, triton.*spconv.*tf32"),
        ("systems=native-fp32", "must be a list"),
        ("utilization.skip=1", "utilization.skip=1: must be at least 2"),
        ("voxels=[10]", r"voxels\[0\]=10: must be at least 1000"),
        ("measure=[speed]", "choose maps, forward, inference, training or memory"),
        ("repeats=0", "repeats=0"),
        ("scene=/none", "/none"),
    ],
)
def test_bad_arguments_give_one_line(run_command, tiny, tmp_path, argument, message):
    outcome = run_command("benchmark", *tiny, *SMALL, f"out={tmp_path}/out", argument)
    assert outcome.code == 2
    assert re.search(message, outcome.err)
    assert not (tmp_path / "out").exists()
