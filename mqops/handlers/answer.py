"""What a receiver's answer means. Pure.

2xx takes the message. 410 (Gone) and 489 (never retry this message, as QStash has it) refuse it for good. Everything
else fails, redirects included: following one would sign a request for an address nobody declared. 429, 502, 503 and
504 may say with ``Retry-After`` when to come back (RFC 9110, section 10.2.3).
"""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

from mqops.handlers.outcome import Failed, Outcome, Rejected, Succeeded

_THROTTLING = frozenset({429, 502, 503, 504})
_NEVER_AGAIN = frozenset({410, 489})


def outcome_of(status: int, reason: str, retry_after: str | None, excerpt: str, now: float) -> Outcome:
    """``retry_after`` is the header's text, ``now`` this clock in seconds since 1970."""
    if 200 <= status < 300:
        return Succeeded()
    brief = f"answered {status} {reason}".rstrip()
    if status in _NEVER_AGAIN:
        return Rejected(brief, excerpt)
    if 300 <= status < 400:
        return Failed(f"{brief} (redirects are not followed)", excerpt)
    delay_ms = retry_after_ms(retry_after, now) if status in _THROTTLING and retry_after else None
    return Failed(brief, excerpt, delay_ms)


def retry_after_ms(text: str, now: float) -> int | None:
    """Milliseconds from ``now`` that ``Retry-After`` asks for: seconds or a date; None when it is neither."""
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,10}", text):
        return int(text) * 1000
    try:
        date = parsedate_to_datetime(text)
        return max(0, round((date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now) * 1000))
    except (ValueError, OverflowError):
        return None
