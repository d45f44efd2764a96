"""The precision that is chosen, and what is said of it."""

import pytest
import torch

from ceco3d.utils import device as devices
from ceco3d.utils.device import choose_precision, describe_precision


@pytest.mark.parametrize(
    ("name", "device", "has_bf16", "dtype", "described"),
    [
        (None, "cpu", True, torch.float32, "fp32 (on a CPU)"),  # whatever is faster: the same bits everywhere
        ("auto", "cpu", True, torch.bfloat16, "bf16 (faster here)"),
        ("auto", "cpu", False, torch.float32, "fp32 (faster here)"),
        ("tf32", "cuda", True, torch.float32, "tf32"),
        (None, "cuda", True, torch.bfloat16, "bf16 (on a GPU that has it)"),
        (None, "cuda", False, torch.float32, "fp32 (Tesla V100 has no bfloat16; try precision=fp16)"),
        ("fp16", "cuda", True, torch.float16, "fp16"),
    ],
)
def test_precision_by_device(monkeypatch, name, device, has_bf16, dtype, described):
    monkeypatch.setattr(devices, "_multiplies_bf16", lambda device: has_bf16)
    monkeypatch.setattr(devices, "bf16_gain", lambda: 2.0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla V100")
    before = torch.get_float32_matmul_precision()
    try:
        assert choose_precision(name, torch.device(device)) == dtype
    finally:
        torch.set_float32_matmul_precision(before)
    assert describe_precision(name, torch.device(device), dtype) == described
