"""Drift as text for people and as JSON for programs: what was changed outside, by whom and since when. Pure."""

from collections.abc import Iterator, Sequence

from reconciler.manifests.problem import printable
from reconciler.planning.beside import moment
from reconciler.planning.change import Reason
from reconciler.planning.document import DriftDocument
from reconciler.planning.drifted import Drifted
from reconciler.planning.wording import REASONS, Line, field_text

_SYMBOL = "≠"


def drift_lines(drift: Sequence[Drifted]) -> Iterator[Line]:
    """A heading, and each resource with what of it is not as it was applied; nothing when there is none."""
    if not drift:
        return
    yield "plain", f"Drift: changed outside{_beginning(drift)}"
    for one in drift:
        yield "drift", f"  {_SYMBOL} {printable(str(one.identity))}: {what(one)}{known_of(one)}"
        for field in one.fields:
            yield "field", f"      {field_text(field)}"
        if one.message:
            yield "field", f"      not repaired: {printable(one.message)}"


def what(one: Drifted) -> str:
    """What happened to it, in words."""
    return "Redis holds it, and no row claims it" if one.reason is Reason.STRAY_FOUND else REASONS[one.reason]


def known_of(one: Drifted) -> str:
    """By whom and since when, as far as that is known; empty when nothing is."""
    parts = []
    if one.changed_by is not None and one.changed_at is not None:
        parts.append(f"by {printable(one.changed_by)} at {moment(one.changed_at)}")
    if one.first_seen_at is not None:
        parts.append(f"known since {moment(one.first_seen_at)}")
    return f", {', '.join(parts)}" if parts else ""


def _beginning(drift: Sequence[Drifted]) -> str:
    times = [time for one in drift for time in (one.changed_at, one.first_seen_at) if time is not None]
    return f" since {moment(min(times))}" if times else ""


def drift_json(one: Drifted) -> DriftDocument:
    """One resource of it."""
    return {
        "kind": one.identity.kind,
        "tenant": one.identity.tenant,
        "name": one.identity.name,
        "uid": one.uid,
        "managed_by": one.managed_by,
        "reason": one.reason,
        "fields": [{"path": field.path, "before": field.before, "after": field.after} for field in one.fields],
        "message": one.message,
        "changed_by": one.changed_by,
        "changed_at": None if one.changed_at is None else moment(one.changed_at),
        "first_seen_at": None if one.first_seen_at is None else moment(one.first_seen_at),
    }
