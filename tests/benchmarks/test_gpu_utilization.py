"""GPU utilization: which moments count, and the errors of the measurement."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.profiler import ProfilerActivity

from ceco3d.benchmarks import gpu_utilization
from ceco3d.benchmarks.gpu_utilization import covered_share, measure_utilization
from ceco3d.utils.errors import UserError


def test_overlapping_kernels_count_once():
    assert covered_share([(10.0, 20.0), (15.0, 18.0), (30.0, 50.0), (45.0, 60.0)]) == (50.0, 0.8)


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 50)), min_size=1, max_size=20))
def test_every_moment_counts_once(kernels):
    intervals = [(float(start), float(start + length)) for start, length in kernels]
    moments = {moment for start, length in kernels for moment in range(start, start + length)}
    span, share = covered_share(intervals)
    assert span == max(moments) + 1 - min(moments)
    assert share * span == pytest.approx(len(moments))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize(("steps", "message"), [(3, "took 3 steps but 5 are needed"), (9, "no kernel ran")])
def test_training_without_enough_steps_or_kernels_is_an_error(monkeypatch, steps, message):
    monkeypatch.setattr(gpu_utilization, "ProfilerActivity", SimpleNamespace(CUDA=ProfilerActivity.CPU))
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    with pytest.raises(UserError, match=message):
        measure_utilization(lambda: [optimizer.step() for _ in range(steps)], skip=2, steps=3)
    optimizer.step()  # the hook is gone


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_the_command_needs_a_gpu(run_command, tmp_path):
    outcome = run_command("benchmark", "what=utilization", f"out={tmp_path}/out")
    assert outcome.code == 2
    assert "GPU" in outcome.err
    assert not (tmp_path / "out").exists()
