"""How a person or a system stops `mqops up`: the first signal ends what it does, a second one hurries the ending."""

import signal
import time
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_SAME_REQUEST_SECONDS = 1.0
"""A signal to a whole process group can arrive twice, directly and passed on by `make`: that is one request."""


class Interrupted(BaseException):
    """Somebody asked to stop. Not an ``Exception``: nothing on the way may take it for a failure and go on."""


class Interrupts:
    """Within the context, the first SIGINT, SIGTERM or SIGHUP raises ``Interrupted`` in the main thread, once; after
    ``finish`` signals raise nothing and are only noted."""

    def __init__(self) -> None:
        self._previous: dict[int, Any] = {}
        self._finishing = False
        self._first_at: float | None = None
        self._is_hurried = False

    def __enter__(self) -> "Interrupts":
        for number in _SIGNALS:
            # `nohup` asks for SIGHUP to be ignored. SIGINT is ignored wherever a script starts something in the
            # background, which means nothing.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def finish(self) -> None:
        """From now on nothing is raised: the ending is to be orderly."""
        self._finishing = True

    def is_hurried(self) -> bool:
        """Whether somebody asked again."""
        return self._is_hurried

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first_at is None:
            self._first_at = now
        elif now - self._first_at > _SAME_REQUEST_SECONDS:
            self._is_hurried = True
        if not self._finishing:
            self._finishing = True
            raise Interrupted
