"""What the watching reconciler counts, for Prometheus. In a registry of its own, whoever serves it."""

from collections import Counter as Tally
from collections.abc import Collection, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from reconciler.journal import Line
from reconciler.planning.change import Action, Change
from reconciler.request import Planned

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Measures:
    """One watching reconciler's."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._passes = Counter("mq_reconciler_passes", "Looks, by what they came to.", ("result",), registry=registry)
        self._seconds = Histogram(
            "mq_reconciler_pass_seconds", "How long looks took.", buckets=_SECONDS, registry=registry
        )
        self._changes = Counter(
            "mq_reconciler_changes",
            "Changes, by what came of them.",
            ("source", "action", "outcome"),
            registry=registry,
        )
        self._drift = self._gauge("drift", "Resources that the last look found changed outside.")
        self._refused = self._gauge("refused", "Changes that the last look found refused.")
        self._held = self._gauge("held", "Whether the source is suspended or pinned.")
        self._settled_at = self._gauge(
            "last_success_timestamp_seconds", "When a look last ended with everything of the source as declared."
        )

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"mq_reconciler_{name}", text, ("source",), registry=self.registry)

    def looked(self, result: str, seconds: float) -> None:
        """A look came to its end."""
        self._passes.labels(result).inc()
        self._seconds.observe(seconds)

    def planned(self, planned: Planned, reported: Collection[Change]) -> None:
        """A look found this; ``reported`` is drift that is not repaired."""
        sources = planned.request.checked.sources
        told = {change.identity for change in reported}
        drifted = [it for it in planned.plan.changes if it.action is Action.REPAIR or it.identity in told]
        _set_all(self._drift, sources, _by_source(drifted))
        _set_all(self._refused, sources, _by_source(refusal.change for refusal in planned.plan.refused))
        _set_all(self._held, sources, {hold.source: 1 for hold in planned.holds})

    def applied(self, lines: Iterable[Line]) -> None:
        """Changes were made, or could not be."""
        for line in lines:
            self._changes.labels(line.source, line.action, line.outcome).inc()

    def settled(self, planned: Planned, unsettled: Collection[str], now_seconds: float) -> None:
        """All of the sources but the ``unsettled`` are as declared. ``now_seconds`` are since 1970."""
        for source in planned.request.checked.sources:
            if source not in unsettled:
                self._settled_at.labels(source).set(now_seconds)


def _by_source(changes: Iterable[Change]) -> Mapping[str, int]:
    return Tally(change.resource.managed_by for change in changes)


def _set_all(gauge: Gauge, sources: Iterable[str], numbers: Mapping[str, int]) -> None:
    """A source that is gone has no number any more, and one without anything has 0."""
    gauge.clear()
    for source in sources:
        gauge.labels(source).set(numbers.get(source, 0))
