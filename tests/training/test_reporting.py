"""What the first line of a run says of how it computes."""

from types import SimpleNamespace

import pytest
import torch

from ceco3d.training import reporting


@pytest.mark.parametrize(
    ("device", "dtype", "augments", "said"),
    [
        (
            *("cpu", torch.float32, False),
            "on cpu: engine native (on a CPU), fp32 (on a CPU), augmented by the loader",
        ),
        (
            *("cuda:1", torch.bfloat16, True),
            "on cuda:1: engine triton (why), bf16 (on a GPU that has it), augmented there",
        ),
    ],
)
def test_the_title_says_engine_precision_and_place_and_why(monkeypatch, device, dtype, augments, said):
    if device != "cpu":
        monkeypatch.setattr(reporting, "describe_engine", lambda *_: "triton (why)")
    settings = SimpleNamespace(engine="auto", precision=None)
    assert reporting.describe_machinery(settings, torch.device(device), dtype, augments) == said
