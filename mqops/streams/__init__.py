"""The streams engine: messages in Redis streams, handed out under leases, settled once.

What a step must do at once is a Lua script (``scripts/``), one command a file. Python here keeps connections, gathers
the requests of a moment into one call, and turns replies into values. Configuration (streams, groups, their settings)
is not made here: the reconciler does that.

    connection  one connection to the server, kept up; replies in order
    publish     group commit: many requests, one script call, an outcome for each message
    fence       publishing that waits for the disk
    schedule    keeping messages until their time
    fetch       handing out under leases
    settle      ack, retry, dead-letter, where the token is still current
    letters     dead letters: looking for them, redriving and removing them
    bell        wakes readers when messages arrive where they had run dry
    sweep       one elected process looks after timers, dead workers and retention
"""

from mqops.streams.engine import Streams
from mqops.streams.fetch import PULL_CONSUMER, Fetched, StoredMessage
from mqops.streams.lane import Claim, Lane
from mqops.streams.letters import REMEMBERED_MS, LetterBox, Letters, Returning, Sought, token_of
from mqops.streams.outcome import Doubt, NotStored, Outcome, Reason, Scheduled, Sent, Stored, Unknown
from mqops.streams.schedule import Page, ScheduledMessage, When
from mqops.streams.sweep import Sweeper

__all__ = [
    "PULL_CONSUMER",
    "REMEMBERED_MS",
    "Claim",
    "Doubt",
    "Fetched",
    "Lane",
    "LetterBox",
    "Letters",
    "NotStored",
    "Outcome",
    "Page",
    "Reason",
    "Returning",
    "Scheduled",
    "ScheduledMessage",
    "Sent",
    "Sought",
    "Stored",
    "StoredMessage",
    "Streams",
    "Sweeper",
    "Unknown",
    "When",
    "token_of",
]
