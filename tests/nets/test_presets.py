"""The networks of the papers have the sizes the papers print, to the last parameter."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from scorefield.errors import UserError
from scorefield.nets import UNet, adm, ddpm, ddpmpp, parameters_millions

LEARNED_VARIANCE = {"out_channels": 6, "classes": 1000}


# The exact counts of the ddpmpp and adm rows are those of the authors' own code, NVlabs/edm (SongUNet, DhariwalUNet)
# and openai/guided-diffusion (UNetModel); the ddpm rows follow from the closed form below. Nothing has to be
# subtracted: level features have no parameters, and no class is no row of the table.
@pytest.mark.parametrize(
    "options, published, exact",
    [
        (ddpm(32), 35.7, 35_746_307),  # Ho et al. 2020, app. B
        (ddpm(256), 114, 113_673_219),  # ibid.
        (ddpmpp(32), 55.7, 55_732_739),  # Karras et al. 2022, tab. 7 (unconditional)
        (ddpmpp(64), 61.8, 61_804_419),  # ibid.
        (adm(64) | {"classes": 1000}, 295.9, 295_899_267),  # ibid.: three output channels
        (adm(64) | LEARNED_VARIANCE, 296, 295_904_454),  # Dhariwal & Nichol 2021, tab. 11
        (adm(128) | LEARNED_VARIANCE, 422, 421_529_606),
        (adm(256) | LEARNED_VARIANCE, 554, 553_838_086),
        (adm(512) | LEARNED_VARIANCE, 559, 558_997_638),
    ],
    ids=["ddpm32", "ddpm256", "ddpmpp32", "ddpmpp64", "edm-adm64", "adm64", "adm128", "adm256", "adm512"],
)
def test_parameter_counts(options: dict[str, Any], published: float, exact: int) -> None:
    with torch.device("meta"):
        net = UNet(3, **options)
    millions = parameters_millions(net)
    assert round(millions * 1e6) == exact
    assert round(millions, len(str(published).partition(".")[2])) == published


@pytest.mark.parametrize("size", [32, 256])
def test_ddpm_counts_follow_from_the_paper(size: int) -> None:
    """Appendix B of Ho et al. 2020, layer by layer, written down without the network."""
    options = ddpm(size)
    widths, e = [128 * m for m in options["mult"]], 512

    def conv(a: int, b: int, k: int = 3) -> int:
        return k**2 * a * b + b

    def block(a: int, b: int) -> int:  # two norms, two convolutions, the embedding, the skip
        return 2 * a + 2 * b + conv(a, b) + conv(b, b) + (e + 1) * b + (conv(a, b, 1) if a != b else 0)

    def look(c: int) -> int:  # a norm, and q, k, v, out
        return 2 * c + 4 * (c + 1) * c

    edges = [size >> i for i in range(len(widths))]
    total, c, skips = (128 + 1) * e + (e + 1) * e + conv(3, 128), 128, [128]
    for i, w in enumerate(widths):
        if i:
            total, skips = total + conv(c, c), [*skips, c]
        for _ in range(2):
            total, c, skips = total + block(c, w) + (look(w) if edges[i] == 16 else 0), w, [*skips, w]
    total += 2 * block(c, c) + look(c)
    for i, w in reversed(list(enumerate(widths))):
        for _ in range(3):
            total, c = total + block(c + skips.pop(), w) + (look(w) if edges[i] == 16 else 0), w
        total += conv(c, c) if i else 0
    total += 2 * c + conv(c, 3)
    with torch.device("meta"):
        assert round(parameters_millions(UNet(3, **options)) * 1e6) == total


@pytest.mark.parametrize("preset", [ddpm, ddpmpp, adm])
def test_a_size_without_a_published_network_gets_a_sentence(preset) -> None:
    with pytest.raises(UserError, match=rf"^{preset.__name__} has no published network for size 48\. Known: "):
        preset(48)
