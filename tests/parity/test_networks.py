"""The networks that the benchmarks compare are of one size, in weights and in work, as far as their forms allow."""

from __future__ import annotations

import pytest

from benchmarks.peers.networks import SIZES, build, cost, installed


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("peer", "weights", "work"), [("diffusers", 1e-3, 1e-9), ("lucidrains", 0.03, 0.08), ("azula", 0.03, 0.08)]
)
def test_a_peer_of_our_size(peer: str, weights: float, work: float, size: str) -> None:
    if not installed(peer):
        pytest.skip(f"{peer} is not installed")
    ours, theirs = cost(build("scorefield", size), size), cost(build(peer, size), size)
    assert theirs[0] == pytest.approx(ours[0], rel=weights)
    assert theirs[1] == pytest.approx(ours[1], rel=work)


@pytest.mark.parametrize("size", SIZES)
def test_ours_executes_less_than_it_says(size: str) -> None:
    """A convolution behind a doubling multiplies 4/9 as often; it is 5 to 25 % of these networks."""
    assert 0.85 < cost(build("scorefield", size), size, "cpu")[1] / cost(build("scorefield", size), size)[1] < 0.97
