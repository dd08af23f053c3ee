"""Bounds on −log p of examples, by what a run diffuses: tokens, codes of images, or argmax flows; and the sites that
they are counted by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from scorefield.core import Rng, as_time
from scorefield.data.alphabet import ENDED
from scorefield.likelihood import elbo, gaussian_elbo
from scorefield.metrics import Evaluation, Score
from scorefield.metrics.text import ratio
from scorefield.runs import recipes

if TYPE_CHECKING:
    from scorefield.runs.loading import Run

CODEC = "codec"  # the name of the quantiser's error among the metrics


def sites_of(raw: Tensor) -> Tensor:
    """How many sites of each example (N, *D) as stored are data: those up to the end of a line, its end included."""
    ended = (raw == ENDED).flatten(1)
    return (~ended).sum(1).double() + ended.any(1).double()


def _tokens(run: Run, raw: Tensor, rng: Rng, cond: dict[str, Any]) -> tuple[Tensor, Tensor]:
    z = run.codec.encode(raw).to(run.device)
    return elbo(run.denoiser, z, rng=rng, samples=recipes.BOUND_SAMPLES, **cond).nats, sites_of(raw)


def _codes(run: Run, raw: Tensor, rng: Rng, cond: dict[str, Any]) -> tuple[Tensor, Tensor]:
    z = run.codec.encode(raw).to(run.device)
    return elbo(run.denoiser, z, rng=rng, samples=recipes.BOUND_SAMPLES, **cond).nats, sites_of(z)


def _regions(run: Run, raw: Tensor, rng: Rng, cond: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """E_q[log q(v | x) − log p(v)] (Hoogeboom et al. 2021, eq. 4), with the bound of continuous time on −log p(v)."""
    codec, x = run.codec, run.tokens.encode(raw)
    found = []
    for _ in range(recipes.BOUND_DRAWS):
        v = codec.draw(x, rng)
        placed = (v.movedim(-1, 1) if codec.first else v).float().to(run.device)
        terms = gaussian_elbo(run.denoiser, placed, rng=rng, samples=recipes.BOUND_SAMPLES, **cond)
        found.append(terms.bound.nats.double().cpu() + codec.log_q(v, x))
    return torch.stack(found).mean(0), sites_of(raw)


def _ordered(run: Run, raw: Tensor, rng: Rng, cond: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """−log p itself: from clean data a causal network sees every term."""
    z = run.codec.encode(raw).to(run.device)
    return run.denoiser(z, as_time(0.0), **cond).error(z), torch.full((len(z),), math.prod(z.shape[1:]))


BOUNDS: dict[str, Callable[[Run, Tensor, Rng, dict[str, Any]], tuple[Tensor, Tensor]]] = {
    "vq": _codes,
    "argmax": _regions,
    "levels": _ordered,
}


def bound(run: Run, raw: Tensor, rng: Rng, cond: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """(nats, sites) of examples as stored, (B,) float64 each, on the CPU."""
    nats, sites = BOUNDS.get(run.config["codec"]["type"], _tokens)(run, raw, rng, cond)
    return nats.double().cpu(), sites.double().cpu()


class OfCodes:
    """Of a run on codes of images: the bound on held-out codes, what the quantiser alone loses, and decoded samples
    against images in features. ``pictures`` measures images, ``bits`` gives the first score."""

    def __init__(self, wanted: Any, bits: Any, pictures: Callable[[Any], Any]) -> None:
        self.wanted, self.bits = wanted, bits
        own = {bits.name, CODEC}
        others = None if wanted.metrics is None else [name for name in wanted.metrics if name not in own]
        self.named = own if wanted.metrics is None else own & set(wanted.metrics)
        self.samples = others is None or bool(others)
        wanted.metrics = others
        self.pictures = pictures(wanted) if self.samples else None

    def save(self, path: Any) -> None:
        """Statistics of the images."""
        if self.pictures is not None:
            self.pictures.save(path)

    def __call__(self, samples: Any) -> Evaluation:
        """The bound and the quantiser's error first, which need no samples."""
        made = {self.bits.name: self.bits, CODEC: self.error}
        own = tuple(make() for name, make in made.items() if name in self.named)
        if samples is None or self.pictures is None:
            return Evaluation(own, "pixels", self.wanted.seed)
        found = self.pictures(samples)
        return replace(found, scores=(*own, *found.scores))

    def error(self) -> Score:
        """The root mean square of what the quantiser changes at held-out images, beside training images."""
        held = self._changed(self.wanted.real)
        own = held if self.wanted.train is None else self._changed(self.wanted.train)
        (value, se), (floor, floor_se) = _root(held), _root(own)
        return Score(
            name=CODEC,
            label="codec error (of 255)",
            value=value,
            se=se,
            floor=floor,
            floor_se=floor_se,
            n_fake=len(held),
            n_real=len(own),
            features="pixels",
            se_from="the spread between images",
            note="root mean square of what encoding and decoding changes at held-out images, beside training images",
            verdict="what no sample can be better than",
        )

    def _changed(self, data: Any) -> Tensor:
        codec, most = self.wanted.run.codec, recipes.BOUNDED["cpu" if self.wanted.run.device.type == "cpu" else "gpu"]
        index = torch.linspace(0, len(data) - 1, min(most, len(data))).round().long().unique()
        x = data.batch(index)["x"]
        back = codec.decode(codec.encode(x)).cpu()
        return (back.double() - x.double()).square().flatten(1).mean(1)


def _root(squares: Tensor) -> tuple[float, float]:
    """√ of the mean of (N,) and its standard error."""
    mean, se = ratio(squares.numpy(), torch.ones(len(squares)).numpy())
    return mean**0.5, se / (2 * mean**0.5) if mean > 0 else 0.0
