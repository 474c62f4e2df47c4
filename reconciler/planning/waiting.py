"""Subscriptions that wait for a topic of another source. Pure."""

from collections.abc import Iterable, Iterator

from reconciler.state import Observed, Resource, Waiting


def as_applied(waiting: Iterable[Waiting], desired: Iterable[Resource], observed: Observed) -> Iterator[Resource]:
    """Those that are there all the same, with what they brought along: they stay as they are, since what they read may
    be away for a while only."""
    names = {one.identity for one in waiting}
    if not names:
        return
    known = {resource.identity for resource in desired}
    for identity, row in observed.applied.items():
        if identity not in known and (identity in names or row.resource.implied_by in names):
            yield row.resource
