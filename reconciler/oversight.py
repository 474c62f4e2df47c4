"""Whoever started an apply looks on: is told how far it is, and says whether it shall go on."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from mqops.model import Identity


class Stage(StrEnum):
    """What an apply is at."""

    PREPARING = "preparing"
    CLOSING = "closing"
    """What is about to go: it takes no messages any more."""
    COMMITTING = "committing"
    OPENING = "opening"
    """What has taken the place of something else."""
    REMOVING = "removing"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an apply is."""

    stage: Stage
    done: int
    """Steps of this stage; mostly, a change has one in it."""
    total: int
    upcoming: Identity | None
    """What the next step is about; ``None`` where all are one."""


class Oversight(Protocol):
    """Looks on from the first thing that is changed to the last."""

    def under_way(self) -> AbstractContextManager[None]:
        """Entered before anything is changed."""

    def advanced(self, progress: Progress) -> None: ...

    def is_stopped(self) -> bool:
        """Whether nothing more shall be begun. Asked between changes; once true, it stays so."""


@dataclass(frozen=True, slots=True)
class Unattended:
    """Nobody looks on, and nobody stops it."""

    def under_way(self) -> AbstractContextManager[None]:
        return nullcontext()

    def advanced(self, progress: Progress) -> None:
        pass

    def is_stopped(self) -> bool:
        return False


UNATTENDED = Unattended()
