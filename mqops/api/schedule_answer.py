"""What an answer makes of the outcomes of messages for later. The same form as of a publish (``publish_answer``): there
is no offset yet, and ``scheduledAt`` says of each message when it is due."""

from collections.abc import Sequence
from typing import Any

import msgspec

from mqops.api.errors import Answer
from mqops.api.publish_answer import MULTI_STATUS, OK, TAKEN, answer_publish, refusal, result_of
from mqops.api.timestamps import format_ms, now_ms
from mqops.catalog import Catalog
from mqops.message import format_id
from mqops.streams import NotStored, Outcome, Scheduled, Sent


def answer_schedule(outcomes: Sequence[Outcome], catalog: Catalog) -> Answer:
    """Raises the error of the first message when none is kept."""
    taken = sum(isinstance(outcome, TAKEN) for outcome in outcomes)
    if any(isinstance(outcome, Sent) for outcome in outcomes):
        return answer_publish(outcomes, catalog)  # nobody waits for when they are due
    if not taken:
        raise refusal(outcomes, catalog)
    body: dict[str, Any] = {
        "messageIds": [None if isinstance(outcome, NotStored) else format_id(outcome.id) for outcome in outcomes],
        "partitions": [_place(outcome) for outcome in outcomes],
        "scheduledAt": [format_ms(it.due_ms) if isinstance(it, Scheduled) else None for it in outcomes],
        "timestamp": format_ms(now_ms()),
    }
    if taken == len(outcomes):
        return Answer(OK, msgspec.json.encode(body))
    body["results"] = [result_of(outcome, catalog) for outcome in outcomes]
    return Answer(MULTI_STATUS, msgspec.json.encode(body))


def _place(outcome: Outcome) -> dict[str, int | None] | None:
    return {"partition": outcome.partition, "offset": None} if isinstance(outcome, Scheduled) else None
