"""A plan as Markdown, for a comment on a pull request. Pure.

Values come from whoever wrote the manifests, and the comment is read as the pipeline's: nothing in them may make a
link, mention somebody, close a fold or begin a heading. So text stands either in ``<code>`` with every character that
could mean anything written as its number, or in a fence that is longer than any run of backticks in it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from reconciler.manifests.problem import printable
from reconciler.planning.beside import moment
from reconciler.planning.change import Action, Change
from reconciler.planning.drift_shown import drift_lines
from reconciler.planning.drifted import Drifted
from reconciler.planning.plan import Plan
from reconciler.planning.render import beside_sections, change_lines, footer, notes, refusal_lines
from reconciler.planning.wording import Line, place_text

_MOST_CHARACTERS = 60_000
"""A comment on GitHub has room for 65,536."""
_SIZES = ((100, 40_000), (20, 10_000), (0, 0))
"""Resources a table, and characters of all details together, to try one after the other; the rest is counted."""

_MEANINGFUL = re.compile(r"[^A-Za-z0-9 ./,-]")
_BACKTICKS = re.compile("`+")


def markdown(plan: Plan, directory: str = "", held: Sequence[str] = ()) -> str:
    """The whole plan. ``directory`` is what the manifests' file names are relative to, as the user called it; ``held``
    says which sources are held, and how."""
    text = ""
    for size in _SIZES:
        text = "".join(f"{line}\n" for line in _lines(plan, directory, size, held))
        if len(text) <= _MOST_CHARACTERS:
            break
    return text


def _lines(plan: Plan, directory: str, size: tuple[int, int], held: Sequence[str]) -> Iterator[str]:
    yield f"**{footer(plan, is_held=bool(held))}**"
    most, room = size
    if held:
        yield from ("", f"#### Held ({len(held)})", "")
        yield from _bullets(held, most)
    if plan.drift:
        yield from ("", f"#### Drift ({len(plan.drift)})", "")
        yield from _drift_table(plan.drift, most)
        details = _fitting(drift_lines(plan.drift), room)
        room -= sum(len(line) + 1 for line in details)
        yield from _folded("What was changed outside", details)
    for action in Action:
        chosen = [change for change in plan.changes if change.action is action]
        if not chosen:
            continue
        yield from ("", f"#### {action.verb.capitalize()} ({len(chosen)})", "")
        yield from _table(chosen, directory, most)
        details = _fitting((line for change in chosen for line in change_lines(change, directory)), room)
        room -= sum(len(line) + 1 for line in details)
        yield from _folded("Details", details)
    if plan.leftovers:
        yield from ("", f"#### Remove what interrupted applies left on Redis ({len(plan.leftovers)})", "")
        yield from _bullets([str(leftover.identity) for leftover in plan.leftovers], most)
    if plan.refused:
        yield from ("", f"#### Refused ({len(plan.refused)})", "")
        yield from _bullets([str(refusal.change.identity) for refusal in plan.refused], most)
        yield from _folded("Why, and the way out", _fitting(refusal_lines(plan.refused, directory), room))
    if plan.waiting:
        yield from ("", f"#### Waiting ({len(plan.waiting)})", "")
        yield from _bullets([f"{one.identity}: {one.message}" for one in plan.waiting], most)
    for heading, lines in beside_sections(plan):
        yield from ("", f"#### {heading} ({len(lines)})", "")
        yield from _bullets(lines, most)
    for note in notes(plan):
        yield from ("", code(note))


def _drift_table(drift: Sequence[Drifted], most: int) -> Iterator[str]:
    yield "| resource | reason | changed by | known since |"
    yield "|---|---|---|---|"
    for one in drift[:most]:
        since = "" if one.first_seen_at is None else moment(one.first_seen_at)
        reason, who = one.reason.value.replace("_", " "), one.changed_by or ""
        yield f"| {code(str(one.identity))} | {reason} | {code(who) if who else ''} | {since} |"
    if len(drift) > most:
        yield f"| and {len(drift) - most} more | | | |"


def _table(changes: Sequence[Change], directory: str, most: int) -> Iterator[str]:
    yield "| resource | declared at | reason |"
    yield "|---|---|---|"
    for change in islice(changes, most):
        place = place_text(change.origin, directory)
        reason = change.reason.value.replace("_", " ")
        yield f"| {code(str(change.identity))} | {code(place)} | {reason} |"
    if len(changes) > most:
        yield f"| and {len(changes) - most} more | | |"


def _bullets(names: Sequence[str], most: int) -> Iterator[str]:
    for name in names[:most]:
        yield f"- {code(name)}"
    if len(names) > most:
        yield f"- and {len(names) - most} more"


def _fitting(lines: Iterable[Line], room: int) -> list[str]:
    """As many as there is room for, and how many more there are."""
    texts = [printable(line.removeprefix("  ")) for _, line in lines]
    for fitting, line in enumerate(texts):
        room -= len(line) + 1
        if room < 0:
            return [*texts[:fitting], f"… and {len(texts) - fitting} more lines: mqops plan shows them"]
    return texts


def _folded(summary: str, lines: Sequence[str]) -> Iterator[str]:
    longest = max((len(run) for line in lines for run in _BACKTICKS.findall(line)), default=0)
    fence = "`" * max(3, longest + 1)
    yield from ("", f"<details><summary>{summary}</summary>", "", f"{fence}text", *lines, fence, "", "</details>")


def code(text: str) -> str:
    """``text`` as inline code that means nothing but itself, in a table too."""
    return f"<code>{_MEANINGFUL.sub(lambda found: f'&#{ord(found[0])};', printable(text))}</code>"
