"""Ctrl-C and SIGTERM: the first one asks training to finish its step and save, the second one ends it."""

from __future__ import annotations

import signal
import sys
import threading
from time import monotonic
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
ECHO = (
    0.5  # seconds in which a second signal is the first one again: a terminal, a scheduler and a parent may all send it
)


def hold_signals() -> None:
    """Keep signals waiting until a ``StopRequest`` is there to hear them: a process that is still starting up is
    stopped as politely as one that trains. Windows cannot hold them."""
    _mask("SIG_BLOCK")


def _mask(how: str) -> None:
    if sys.platform != "win32":
        signal.pthread_sigmask(getattr(signal, how), SIGNALS)


class StopRequest:
    """``with StopRequest() as stop:`` — ``stop.asked`` turns true at the first signal; a second one raises
    KeyboardInterrupt. Handlers are put back on leaving. Outside the main thread, where Python delivers no signals,
    it does nothing."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._before: dict[signal.Signals, Any] = {}

    @property
    def asked(self) -> bool:
        """Whether a signal has come."""
        return self._first is not None

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._heard) for number in SIGNALS}
            _mask("SIG_UNBLOCK")
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        now = monotonic()
        if self._first is None:
            self._first = now
        elif now - self._first > ECHO:
            raise KeyboardInterrupt
