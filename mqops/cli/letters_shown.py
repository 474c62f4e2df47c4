"""How dead letters are printed."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mqops.cli.messages import print_json, printable


def print_letters(letters: Sequence[Mapping[str, Any]], output: Literal["text", "json"], *, is_complete: bool) -> None:
    """A table, or a line of JSON each. Says beside it when there may be more."""
    from mqops.cli.tables import print_table

    if output == "json":
        for letter in letters:
            print_json(letter)
        return
    if letters:
        print_table(
            ("ID", "FAILED AT", "SUBSCRIPTION", "ORIGINAL", "REASON", "KEY", "ATTEMPTS", "REDRIVES"),
            [_row(letter) for letter in letters],
            left=6,
        )
    if not letters:
        print("no dead letters", file=sys.stderr)
    elif not is_complete:
        print("there may be more: --max", file=sys.stderr)


def print_letter(letter: Mapping[str, Any], output: Literal["text", "json"]) -> None:
    """All that is known of it."""
    from mqops.cli.tables import print_pairs

    if output == "json":
        print(json.dumps(letter, indent=2, ensure_ascii=False))
        return
    info = letter["deadLetter"]
    print_pairs(
        {
            "id": letter["id"],
            "message": info["messageId"],
            "topic": f"{info['topic']}, partition {info['partition']}, offset {info['offset']}",
            "published": info["timestamp"],
            "producer": letter["producer"],
            "key": letter.get("key", ""),
            "subscription": info["subscription"],
            "failed": info["failedAt"],
            "reason": info["reason"],
            "attempts": str(info["attempts"]),
            "redrives": str(info["redrives"]),
            "content type": letter["contentType"],
            **{f"header {name}": value for name, value in letter["headers"].items()},
        }
    )
    for title, text in (("detail", info["detail"]), ("payload", json.dumps(letter["payload"], ensure_ascii=False))):
        print(f"  {title}:")
        for line in text.splitlines() or [""]:
            print("    " + printable(line))


def _row(letter: Mapping[str, Any]) -> tuple[str, ...]:
    info = letter["deadLetter"]
    cells = (
        *(letter["id"], info["failedAt"], info["subscription"]),
        *(f"{info['topic']}/{info['partition']}@{info['offset']}", info["reason"], letter.get("key", "")),
        *(str(info["attempts"]), str(info["redrives"])),
    )
    return tuple(printable(cell) for cell in cells)
