from __future__ import annotations

import pytest
import torch

from scorefield import Gaussian, UserError
from scorefield.core import as_time
from scorefield.guidance import Clipped, DynamicThreshold
from scorefield.noise import VP
from scorefield.testing import check_denoiser
from scorefield.testing.solvers import Constant
from tests.guidance.laws import TwoClasses

T = as_time(0.5)
PROCESS = Gaussian(VP())
LABEL = torch.zeros(3, dtype=torch.long)


def believing(values, dtype=torch.float64):
    """A denoiser with one belief, and that belief."""
    mean = torch.tensor(values, dtype=dtype)
    return Constant(mean, PROCESS), mean


@pytest.mark.parametrize("wrap", [Clipped, DynamicThreshold])
def test_examples_do_not_see_each_other(wrap):
    check_denoiser(wrap(TwoClasses(PROCESS, 4)), (3, 4), label=LABEL)


def test_clipping_clamps():
    denoiser, mean = believing([[-3.0, 0.5, 1.2]])
    assert Clipped(denoiser)(mean, T).mean.tolist() == [[-1.0, 0.5, 1.0]]
    assert Clipped(denoiser, 0.0, 2.0)(mean, T).mean.tolist() == [[0.0, 0.5, 1.2]]


def test_dynamic_thresholding_has_its_laws():
    """Within ±floor nothing changes, bitwise; beyond it the quantile lands on ±floor, order is kept, and the result
    scales with the floor. 1,000 numbers 0.002, 0.004 … 2: the 0.9 quantile (linear) is 1.8002."""
    denoiser, mean = believing([[0.3, -1.0, 0.99], [0.1, 0.2, -0.7]])
    assert torch.equal(DynamicThreshold(denoiser)(mean, T).mean, mean)
    ramp = (torch.arange(1, 1001).double() / 500).tolist()
    denoiser, mean = believing([ramp])
    got = DynamicThreshold(denoiser, 0.9)(mean, T).mean
    limit = 1.8002
    torch.testing.assert_close(got, mean.clamp(-limit, limit) / limit, rtol=1e-12, atol=0)
    assert got.max() == 1 and (got.diff() >= 0).all()
    double, twice = believing([[2 * v for v in ramp]])
    torch.testing.assert_close(DynamicThreshold(double, 0.9, 2.0)(twice, T).mean, 2 * got, rtol=1e-12, atol=0)
    torch.testing.assert_close(DynamicThreshold(denoiser, 1.0)(mean, T).mean, mean / 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_stays_low(dtype):
    denoiser, mean = believing([[0.5, 4.0, -8.0, 1.0]], dtype)
    got = DynamicThreshold(denoiser, 1.0)(mean, T).mean
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), mean.double() / 8, rtol=1e-2, atol=0)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda d: Clipped(d, 1.0, 1.0), "clipping needs low < high, got 1.0 and 1.0"),
        (lambda d: DynamicThreshold(d, 0.0), "0 < quantile ≤ 1 and floor > 0, got 0.0"),
        (lambda d: DynamicThreshold(d, floor=0.0), "floor > 0, got 0.995, 0.0"),
    ],
)
def test_impossible_thresholds_are_refused(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make(believing([[1.0]])[0])
