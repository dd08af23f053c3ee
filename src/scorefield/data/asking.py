"""Options of ``open_data`` that only some sources understand; the others refuse them rather than ignore them."""

from __future__ import annotations

from dataclasses import dataclass, fields

from scorefield.errors import UserError


@dataclass(frozen=True)
class More:
    """``rate`` and ``seconds`` of sounds, ``window`` and ``stride`` of a long series, ``split``, ``config``,
    ``streaming``, ``examples`` and ``columns`` of a Hugging Face data set, ``length``, ``lines`` and ``codec`` of text
    (``codec`` also of images that are categories); None (False) where nothing was said."""

    rate: int | None = None
    seconds: float | None = None
    window: int | None = None
    stride: int | None = None
    split: str | None = None
    config: str | None = None
    streaming: bool = False
    examples: int | None = None
    columns: tuple[str, ...] | None = None
    length: int | None = None
    lines: bool = False
    codec: str | None = None

    def refuse(self, what: str, *understood: str) -> None:
        """Raises ``UserError`` for an option that was given and is not ``understood`` by ``what``."""
        for field in fields(self):
            if getattr(self, field.name) not in (None, False) and field.name not in understood:
                raise UserError(f"{field.name}= does not apply to {what}. Leave it out.")
