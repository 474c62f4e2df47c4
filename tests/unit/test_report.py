"""Lines for the log about deliveries, at a bounded rate."""

import logging

import pytest

from mqops.delivery import report as module
from mqops.delivery.report import Report


def test_a_thousand_failures_are_two_lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    report = Report()
    with caplog.at_level(logging.WARNING):
        for number in range(1_000):
            report.note("acme/billing", f"message {number} failed")
        report.note("globex/hooks", "message x failed")
        report.flush()
        now += 5
        report.flush()
        report.flush()
    assert caplog.messages == [
        "acme/billing: message 0 failed",
        "globex/hooks: message x failed",
        "acme/billing: message 999 failed (and 998 more like it)",
    ]


def test_what_was_held_back_is_said_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    report = Report()
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            report.note("acme/billing", f"message {number} failed")
        report.finish()
        report.finish()
    assert caplog.messages[1:] == ["acme/billing: message 2 failed (and 1 more like it)"]
