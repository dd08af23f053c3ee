"""Are samples where data are, and are data where samples are? Balls around rows stand for the two supports."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core import Rng
from .resample import Estimate, as_pair, squared_distances

NEIGHBOUR = {"precision": 3, "recall": 3, "density": 5, "coverage": 5}  # k, as published
_NEAR, _WIDE = NEIGHBOUR["precision"], NEIGHBOUR["density"]
_TIE = 1e-11  # of the largest squared norm: distances closer than rounding are equal
_GROUPS = 10  # of the jackknife
_LISTED = 24  # neighbours of each row: without a group of a tenth, five of them are surely left
_OUTSIDE = -1.0  # the squared radius of a ball that was taken away


def manifold(fake: Tensor, real: Tensor, *, seed: int = 0) -> dict[str, Estimate]:
    """Quality and variety apart, where one distance mixes them: precision, recall, density and coverage, by name.

    A ball around each row reaches to its k-th nearest neighbour in its own set.
      precision  the share of samples inside any ball of real data (Kynkäänniemi et al. 2019, k = 3);
      recall     the share of real rows inside any ball of samples;
      density    the number of real balls a sample lies in, over k (Naeem et al. 2020, k = 5); not bounded by 1;
      coverage   the share of real balls that hold a sample.
    Where the laws agree E density = 1 and E coverage = 1 − Π_{i=1…k} (M − i)/(N + M − i) exactly, in any dimension;
    precision and recall have no such value and are read beside their floor.

    fake (N, D), real (M, D); time (N + M)², memory bounded. Standard errors: a jackknife over 10 random groups of each
    set (``seed``), every ball drawn anew without them. It is not too small, but near 0 and 1 up to twice too large: a
    row changes the balls of its neighbours, which a jackknife counts more than once (Efron & Stein 1981). Raises
    UserError for fewer than 10 rows, unequal D, NaN.
    """
    fake, real = as_pair(fake, real)
    groups = [_groups(len(x), Rng.fold(seed, side)) for side, x in enumerate((fake, real))]
    whole, without_fake, without_real = _Balls(fake, real, *groups).values()
    variance = torch.stack([without_fake, without_real]).var(1, correction=0).sum(0) * (_GROUPS - 1)
    rows = torch.tensor([len(fake), len(real), len(fake), len(real)], dtype=torch.float64)
    least = (rows + 1).sqrt() / (rows + 2) / rows.sqrt()  # binomial, one row among them is otherwise
    errors = torch.maximum(variance.sqrt(), least)
    return {
        name: Estimate(value, error)
        for name, value, error in zip(NEIGHBOUR, whole.tolist(), errors.tolist(), strict=True)
    }


def _groups(n: int, seed: int) -> Tensor:
    """The group 0 … 9 of each row, (n,)."""
    group = torch.empty(n, dtype=torch.int64)
    group[Rng(seed).permutation(n)] = torch.arange(n) % _GROUPS
    return group


class _Balls:
    """The squared radii of both sets, whole (row 0) and without each group (rows 1 … 10), and who lies in which."""

    def __init__(self, fake: Tensor, real: Tensor, of_fake: Tensor, of_real: Tensor) -> None:
        self.fake, self.real, self.of_fake, self.of_real = fake, real, of_fake, of_real
        tie = _TIE * max(float((x - real.mean(0)).square().sum(1).max()) for x in (fake, real))
        (self.own,) = (radii + tie for radii in _radii(fake, of_fake, (_NEAR,)))
        self.near, self.wide = (radii + tie for radii in _radii(real, of_real, (_NEAR, _WIDE)))

    def values(self) -> tuple[Tensor, Tensor, Tensor]:
        """The four figures (4,), and those without each group of the samples and of the real rows, (10, 4) each."""
        n, m, variants = len(self.fake), len(self.real), _GROUPS + 1
        inside, balls = (torch.zeros(variants, n, dtype=torch.float64) for _ in range(2))  # real groups left out
        recalled = torch.zeros(variants, m, dtype=torch.bool)  # sample groups left out
        covered = torch.zeros(variants, m, dtype=torch.bool)  # real groups left out
        hits = torch.zeros(_GROUPS, m)  # of each real ball, by samples of each group
        for block, squared in squared_distances(self.fake, self.real):
            for v in range(variants):
                within = squared <= self.wide[v]
                inside[v, block] = (squared <= self.near[v]).any(1).to(squared)
                balls[v, block] = within.sum(1).to(squared)
                covered[v] |= within.any(0)
                recalled[v] |= (squared <= self.own[v, block, None]).any(0)
                if v == 0:
                    hits.index_add_(0, self.of_fake[block], within.float())
        caught = torch.cat([covered[:1], hits.sum(0) > hits])
        kept_fake, kept_real = (_kept(of) for of in (self.of_fake, self.of_real))
        fewer_fake = self._figures(inside[:1], recalled, balls[:1], caught, kept_fake, kept_real[:1])
        fewer_real = self._figures(inside, recalled[:1], balls, covered, kept_fake[:1], kept_real)
        return fewer_fake[0], fewer_fake[1:], fewer_real[1:]

    @staticmethod
    def _figures(
        inside: Tensor, recalled: Tensor, balls: Tensor, covered: Tensor, fake: Tensor, real: Tensor
    ) -> Tensor:
        """Means over the rows that are kept (weights 0 and 1), (11, 4)."""
        over = [(inside, fake), (recalled, real), (balls / _WIDE, fake), (covered, real)]
        means = [(x * kept).sum(1) / kept.sum(1) for x, kept in over]
        return torch.stack([mean.expand(_GROUPS + 1) for mean in means], 1)


def _kept(group: Tensor) -> Tensor:
    """(11, n): all ones, then for each group 0 where a row is of it, else 1."""
    return (group != torch.arange(-1, _GROUPS)[:, None]).double()


def _radii(x: Tensor, group: Tensor, ranks: tuple[int, ...]) -> list[Tensor]:
    """For each rank k (11, n): squared distances to the k-th nearest other, among all and among those not of a group.

    Rows of the group itself have none, ``_OUTSIDE``."""
    listed = min(_LISTED, len(x) - 1)
    nearest, index = x.new_empty(len(x), listed), torch.empty(len(x), listed, dtype=torch.int64)
    for block, squared in squared_distances(x, x):
        squared.diagonal(block.start).fill_(torch.inf)
        nearest[block], index[block] = squared.topk(listed, largest=False)
    found = []
    for k in ranks:
        radii = [nearest[:, k - 1]]
        for g in range(_GROUPS):
            rank = (group[index] != g).cumsum(1)  # among the neighbours that stay
            place = (rank < k).sum(1).clamp_max(listed - 1)
            radii.append(torch.where(group == g, _OUTSIDE, nearest.gather(1, place[:, None])[:, 0]))
        found.append(torch.stack(radii))
    return found
