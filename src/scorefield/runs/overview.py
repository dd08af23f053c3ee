"""What `edit` draws of its answer: one picture with everything beside each other, and a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scorefield.runs import env
from scorefield.runs.restored import deviation_image
from scorefield.show.grid import picture
from scorefield.show.html import code_block, document, figure, pair_table, paragraph
from scorefield.show.numbers import short
from scorefield.show.tiles import arrange, draw_tiles

if TYPE_CHECKING:
    from scorefield.runs.restored import Restored

MOST = 12  # draws in the overview
BUDGET = 400_000  # bytes of a picture in the page


def tiles(made: Restored) -> tuple[np.ndarray, tuple[str, ...]]:
    """(uint8 (N, 4, H, W), captions): given, truth where it is known, mean, deviation, draws."""
    height, width = made.x.shape[2:]
    shown: list[tuple[str, Tensor]] = []
    if made.given.seen is not None:
        shown.append(("given", made.given.seen))
    if made.truth is not None:
        shown.append(("truth", made.truth))
    shown += [("mean", made.mean), ("deviation", torch.from_numpy(np.array(deviation_image(made.deviation)[0]))[None])]
    shown += [(f"draw {i + 1}", x) for i, x in enumerate(made.x[:MOST])]
    return np.stack([_rgba(x, height, width) for _, x in shown]), tuple(name for name, _ in shown)


def overview(made: Restored) -> Image.Image:
    """The tiles on white, each with its word."""
    x, captions = tiles(made)
    layout = arrange(len(x), *x.shape[2:], captions=True)
    return draw_tiles(x, layout, captions)


def page(made: Restored) -> str:
    """The report as one HTML file that opens offline."""
    _, white = deviation_image(made.deviation)
    story = (
        f"{len(made)} draws from what {made.run} has learned and what was measured. Where they agree the measurement "
        "decides; where they differ the model guesses, and the deviation map says by how much."
    )
    sections = [
        ("draws", "Draws", figure(overview(made), "Given, mean, deviation and draws", _caption(made, white), BUDGET)),
        ("all", "All of them", _all(made)),
        ("consistency", "Do they explain what was measured?", _consistency(made)),
        ("facts", "How they were made", pair_table(made.facts) + code_block(_python(made))),
    ]
    return document(f"Edited by {made.run}", story, _cells(made), sections, f"Written by scorefield on {env.now()}.")


def _caption(made: Restored, white: float) -> str:
    hidden = " The checked part was not given." if made.given.seen is not None and len(made.given.seen) == 4 else ""
    return f"White in the deviation map is {short(white)} levels of 255.{hidden}"


def _all(made: Restored) -> str:
    if len(made) <= MOST:
        return ""
    return figure(picture(made.x, "images", max_items=len(made)), "All draws", "", BUDGET)


def _consistency(made: Restored) -> str:
    words = (
        "A draw of p(x | y) explains y as well as the truth does: its χ² per number of y is 1, give or take what noise "
        "does. Far above, the draws contradict the measurement; far below, they fit its noise."
    )
    said = made.consistency.sentence
    said = f"{said}." if said.startswith("χ") else f"{said[:1].upper()}{said[1:]}."
    return paragraph(said) + paragraph(words, "muted")


def _cells(made: Restored) -> list[tuple[str, str]]:
    cells = [("method", made.method), ("evaluations", f"{made.nfe:,}"), ("draws", f"{len(made):,}")]
    name = "χ²/M" if made.consistency.expected else "residual"
    cells.append((name, short(made.consistency.value)))
    cells += [("ESS", short(made.ess))] if made.ess is not None else []
    return cells + ([("log p(y)", f"{made.log_evidence:.1f} nats")] if made.log_evidence is not None else [])


def _python(made: Restored) -> str:
    return 'import numpy\n\ndraws = numpy.load("draws.npz")  # x, mean, deviation, y\ndraws["x"].shape'


def _rgba(x: Tensor, height: int, width: int) -> np.ndarray:
    """(C, h, w) → (4, H, W), enlarged by repeating pixels."""
    values = x if x.shape[0] != 1 else x.expand(3, -1, -1)
    if x.shape[0] != 4:
        values = torch.cat([values[:3], torch.full_like(values[:1], 255)])
    enlarged = torch.nn.functional.interpolate(values[None].float(), (height, width), mode="nearest-exact")
    return enlarged[0].to(torch.uint8).numpy()
