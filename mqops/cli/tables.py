"""Lines, pairs and tables on standard output: what every command that shows something is made of."""

from collections.abc import Mapping, Sequence
from functools import cache

from rich.console import Console
from rich.text import Text

from reconciler.manifests.problem import printable


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> None:
    """Columns as wide as what is in them, and never cut: names are there to be copied. The first ``left`` of them are
    text, the others numbers."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for index, row in enumerate((header, *rows)):
        cells = (
            f"{cell:<{width}}" if column < left else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print_line("   ".join(cells).rstrip(), "" if index else "bold")


def print_pairs(pairs: Mapping[str, str]) -> None:
    width = max(len(name) for name in pairs)
    for name, value in pairs.items():
        print_line(printable(f"  {name:<{width}}  {value}".rstrip()))


def print_line(line: str, style: str = "") -> None:
    _console().print(Text(line, style), soft_wrap=True)


@cache
def _console() -> Console:
    return Console(highlight=False)
