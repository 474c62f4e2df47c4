"""What a benchmark says: rows of ours, the peer's, their ratio and the bar it has to reach."""

import json
import os
import platform
from dataclasses import dataclass
from statistics import median

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. ``bar`` is the least ratio that is good enough; ``None`` for a figure that is only told."""

    case: str
    ours: float
    peer: float | None
    unit: str
    ratio: float | None
    bar: float | None

    @property
    def holds(self) -> bool:
        """A bar that could not be compared, for want of the peer, does not hold."""
        return self.bar is None or (self.ratio is not None and self.ratio >= self.bar)

    def as_json(self) -> dict[str, object]:
        return {
            "case": self.case,
            "ours": round(self.ours, 2),
            "peer": None if self.peer is None else round(self.peer, 2),
            "unit": self.unit,
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "bar": self.bar,
            "holds": self.holds,
        }


def compare(case: str, pairs: list[tuple[float, float | None]], unit: str, bar: float | None) -> Row:
    """A row from rounds of (ours, peer's): medians, and the median of the ratios round by round."""
    peers = [peer for _, peer in pairs if peer is not None]
    ratios = [ours / peer for ours, peer in pairs if peer]
    return Row(
        case,
        median(ours for ours, _ in pairs),
        median(peers) if peers else None,
        unit,
        median(ratios) if ratios else None,
        bar,
    )


def within(case: str, ours: float, unit: str, most: float | None) -> Row:
    """A row without a peer, beside what it may be at most; the ratio is how many times it fits in."""
    return Row(case, ours, most, unit, None if most is None else most / max(ours, 0.01), None if most is None else 1.0)


def print_report(benchmark: str, rows: list[Row], notes: list[str], *, as_json: bool) -> None:
    """To stdout: one JSON object, or a table with the machine and versions under it."""
    if as_json:
        print(json.dumps({"benchmark": benchmark, "rows": [row.as_json() for row in rows]}))
        return
    table = Table(title=f"benchmark {benchmark}", title_justify="left")
    for column in ("case", "ours", "peer", "unit", "ratio", "bar", "holds"):
        table.add_column(column, justify="left" if column in {"case", "unit"} else "right")
    for row in rows:
        table.add_row(
            row.case,
            f"{row.ours:,.1f}",
            "–" if row.peer is None else f"{row.peer:,.1f}",
            row.unit,
            "–" if row.ratio is None else f"{row.ratio:.2f}",
            "–" if row.bar is None else f"{row.bar:.2f}",
            "yes" if row.holds else "NO",
        )
    console = Console()
    console.print(table)
    for note in [f"Python {platform.python_version()}, {os.cpu_count()} cores", *notes]:
        console.print(note, highlight=False, soft_wrap=True)
