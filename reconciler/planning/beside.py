"""What is known of resources beside what they declare, and every plan shows: operators' overrides, suspensions. Pure.

Neither is configuration: no apply makes, changes or ends one, and neither makes a difference between what is declared
and what is applied.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from mqops.model import Identity
from mqops.override import Override
from reconciler.manifests.problem import printable
from reconciler.state import Applied, Observed, Suspended


@dataclass(frozen=True, slots=True)
class Overridden:
    """A subscription that does what an operator says, whatever it declares."""

    identity: Identity
    override: Override


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A resource that is suspended."""

    identity: Identity
    suspended: Suspended


@dataclass(frozen=True, slots=True)
class Beside:
    """All of it, by name."""

    overrides: tuple[Overridden, ...] = ()
    suspended: tuple[LeftAlone, ...] = ()

    def of_tenant(self, tenant: str) -> "Beside":
        """What is about the tenant or what it has."""
        return Beside(
            tuple(it for it in self.overrides if it.identity.tenant == tenant),
            tuple(it for it in self.suspended if (it.identity.tenant or it.identity.name) == tenant),
        )


NOTHING_BESIDE = Beside()


def beside(observed: Observed, owners: frozenset[str]) -> Beside:
    """Of what ``owners`` have."""
    if not observed.overrides and not observed.suspended:
        return NOTHING_BESIDE
    names = {row.uid: identity for identity, row in observed.applied.items() if row.resource.managed_by in owners}
    return Beside(
        tuple(Overridden(names[uid], it) for uid, it in _by_name(observed.overrides, names)),
        tuple(LeftAlone(names[uid], it) for uid, it in _by_name(observed.suspended, names)),
    )


def suspension_of(row: Applied, observed: Observed) -> LeftAlone | None:
    """Why it is left alone: it is suspended, or what brings it along is."""
    step: Applied | None = row
    while step is not None:
        found = observed.suspended.get(step.uid)
        if found is not None:
            return LeftAlone(step.resource.identity, found)
        parent = step.resource.implied_by
        step = None if parent is None else observed.applied.get(parent)
    return None


_T = TypeVar("_T")


def _by_name(found: Mapping[str, _T], names: Mapping[str, Identity]) -> Iterator[tuple[str, _T]]:
    known = ((uid, it) for uid, it in found.items() if uid in names)
    yield from sorted(known, key=lambda pair: names[pair[0]])


def override_text(override: Override) -> str:
    """Like ``paused by acme/ann since 2026-11-28T01:00:00Z, until 2026-11-28T03:00:00Z: incident 7``."""
    until = "" if override.until_ms is None else f", until {moment(of_ms(override.until_ms))}"
    since = moment(of_ms(override.since_ms))
    return f"{override.word} by {override.by} since {since}{until}{_because(override.reason)}"


def suspended_text(suspended: Suspended) -> str:
    """Like ``suspended by ann@build-7 since 2026-11-28T01:00:00Z: incident 7``."""
    return f"suspended by {suspended.by} since {moment(suspended.since)}{_because(suspended.reason)}"


def target_text(identity: Identity) -> str:
    """How commands are told it: like ``topic/acme/orders``."""
    return "/".join(filter(None, (identity.kind.lower(), identity.tenant, identity.name)))


def of_ms(milliseconds: int) -> datetime:
    """Of milliseconds since 1970."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def moment(when: datetime) -> str:
    """To the second, in UTC."""
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _because(reason: str) -> str:
    return f": {printable(reason)}" if reason else ""
