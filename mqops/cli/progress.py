"""Shows what a command is doing when it takes longer than a moment."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.text import Text


def is_drawn_on(console: Console) -> bool:
    """Whether it is a terminal on which what was shown can be shown otherwise. On a dumb one nothing would be seen of a
    bar or a spinner: it gets lines, as a file does."""
    return console.is_terminal and not console.is_dumb_terminal


class Progress:
    """Steps of a longer command: a spinner on a terminal, a line each elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show ``text`` while the body runs, and how long it took when that was over a second."""
        started = time.monotonic()
        if is_drawn_on(self._console):
            with self._console.status(escape(text)):
                yield
        else:
            self.say(text)
            yield
        seconds = time.monotonic() - started
        if seconds > 1:
            self.say(f"{text}: {seconds:.1f} s")

    def say(self, text: str) -> None:
        """Print ``text`` as it is: no markup, no wrapping, so that it can be pasted."""
        self._console.print(Text(text), soft_wrap=True)


@contextmanager
def working(text: str) -> Iterator[Status]:
    """Shows what is being done for as long as it takes; on a terminal alone, and beside the output. It is what the
    command is there for: afterwards no garbage is collected any more."""
    from reconciler.garbage import put_all_aside, without_garbage_collection

    with without_garbage_collection(), Console(stderr=True).status(text) as status:
        yield status
        put_all_aside()
