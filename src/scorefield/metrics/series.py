"""Signals by what their engineers look at: how much power at which frequency, and how long the past is remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ..core import Rng
from .inputs import Distance, Inputs, Metric
from .resample import Estimate, check_rows
from .score import Score

BANDS = 32  # of the spectrum, of equal width in log f: single frequencies are too noisy to be compared
MOST_LAGS = 256
_QUIET = 1e-10  # of the mean power: what is below counts as silence
_GROUPS = 10  # of the jackknife
_BATCH = 256

Statistic = Callable[[Tensor], Tensor]  # signals (b, C, L) → what is averaged over examples, (b, K)
Compared = Callable[[Tensor, Tensor], Tensor]  # two such averages (K,) → a number


def power_spectra(fake: Tensor, real: Tensor, seed: int = 0) -> Estimate:
    """The log-spectral distance of the mean power spectra, in dB: 0 where every band has the power it should have.

    D = (mean over channels and bands of (10 log₁₀ P_fake(f) / P_real(f))²)^½, P(f) = E |FFT(w · (x − x̄))|² with a Hann
    window w and each signal's own mean x̄ removed (the distance of Gray & Markel 1976, here of mean spectra); bands are
    of equal width in log f. A gain of 2 is 6.02 dB.

    fake (N, C, L), real (M, C, L) in any unit; biased upwards by the finite N and M. Standard error: a jackknife over
    10 groups of each sample. Raises UserError for fewer than 10 rows and NaN.
    """
    band, count = _bands(real.shape[-1])
    window = torch.hann_window(real.shape[-1], periodic=False, dtype=torch.float64) + 1e-3  # no length has only zeros

    def statistic(x: Tensor) -> Tensor:
        power = torch.fft.rfft((x - x.mean(-1, keepdim=True)) * window).abs().square()[..., 1:]
        return power.new_zeros(*power.shape[:-1], count).index_add_(-1, band, power).flatten(1)

    def compared(p: Tensor, q: Tensor) -> Tensor:
        quiet = _QUIET * q.mean() + torch.finfo(torch.float64).tiny
        return (10 * torch.log10((p + quiet) / (q + quiet))).square().mean().sqrt()

    return _estimate(fake, real, statistic, compared, seed)


def autocorrelation(fake: Tensor, real: Tensor, seed: int = 0) -> Estimate:
    """How far the autocorrelations are apart: 0 for equal memory, whatever the scale of the signals.

    D = (mean over channels and lags k = 1 … K of (r_fake(k) − r_real(k))²)^½ with
    r(k) = E[(x_t − μ)(x_{t+k} − μ)] / E[(x_t − μ)²], μ the channel's mean in the real data, K = min(L/2, 256).

    fake (N, C, L), real (M, C, L); between 0 and 2, biased upwards by the finite N and M. Standard error: a jackknife
    over 10 groups of each sample. Raises UserError for fewer than 10 rows and NaN.
    """
    length, channels = real.shape[-1], real.shape[1]
    lags = max(1, min(length // 2, MOST_LAGS))
    mean = real.double().mean((0, 2))[:, None]
    pairs = length - torch.arange(lags + 1, dtype=torch.float64)

    def statistic(x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(x - mean, n=2 * length)  # twice as long: the end does not meet the beginning
        return (torch.fft.irfft(spectrum.abs().square(), n=2 * length)[..., : lags + 1] / pairs).flatten(1)

    def compared(p: Tensor, q: Tensor) -> Tensor:
        r, s = (_normalised(c.view(channels, lags + 1)) for c in (p, q))
        return (r - s).square().mean().sqrt()

    return _estimate(fake, real, statistic, compared, seed)


def _normalised(covariance: Tensor) -> Tensor:
    variance = covariance[:, :1]
    return covariance[:, 1:] / torch.where(variance > 0, variance, 1.0)


def _bands(length: int) -> tuple[Tensor, int]:
    """The band of each frequency 1 … L/2, (L/2,) int64, and how many bands there are."""
    frequency = torch.arange(1, length // 2 + 1, dtype=torch.float64)
    top = max(float(frequency[-1].log()), 1e-9)
    rough = (frequency.log() / top * BANDS).long().clamp(max=BANDS - 1)
    used, band = rough.unique(return_inverse=True)  # low bands that hold no frequency are none
    return band, len(used)


def _estimate(fake: Tensor, real: Tensor, statistic: Statistic, compared: Compared, seed: int) -> Estimate:
    """``compared`` of the mean statistics, and its error by leaving out each of ten groups of either sample."""
    for name, x in (("the samples", fake), ("the real data", real)):
        check_rows(name, x)
    p, q = (torch.cat([statistic(b.cpu().double()) for b in x.split(_BATCH)]) for x in (fake, real))
    value = compared(p.mean(0), q.mean(0))
    left_p = [compared(rest, q.mean(0)) for rest in _without(p, Rng.fold(seed, 0))]
    left_q = [compared(p.mean(0), rest) for rest in _without(q, Rng.fold(seed, 1))]
    spread = sum(float(torch.stack(left).var(correction=0)) * (_GROUPS - 1) for left in (left_p, left_q))
    return Estimate(float(value), spread**0.5)


def _without(rows: Tensor, seed: int) -> list[Tensor]:
    """The mean of (N, K) without each of ten random groups of equal size, as nearly as N allows."""
    groups = Rng(seed).permutation(len(rows)).tensor_split(_GROUPS)
    total = rows.sum(0)
    return [(total - rows[group].sum(0)) / (len(rows) - len(group)) for group in groups]


class _OfSignals:
    """A distance between signals as they were given, whatever features the other metrics compare."""

    def __init__(self, name: str, label: str, measure: Callable[[Tensor, Tensor, int], Estimate]) -> None:
        self._distance = Distance(name, label, measure, f"jackknife over {_GROUPS} groups")

    def __call__(self, inputs: Inputs) -> Score:
        raw, seed = inputs.raw, inputs.seed
        value, floor = (self._distance.measure(x, raw.reference, seed) for x in (raw.matched, raw.stand_in))
        score = self._distance.score(inputs, value, floor, len(raw.matched), len(raw.reference))
        return replace(score, label=self._distance.label, features="signals", note="")


SERIES: dict[str, Metric] = {
    "power_spectra": Metric(_OfSignals("power_spectra", "power spectra, dB", power_spectra), ("signals",)),
    "autocorrelation": Metric(_OfSignals("autocorrelation", "autocorrelation", autocorrelation), ("signals",)),
}
