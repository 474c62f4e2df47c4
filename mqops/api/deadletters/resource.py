"""What every resource of dead letters begins with."""

from mqops.access import Access, Caller
from mqops.api.directory import DeadLetters, Directory
from mqops.api.edge import Request, caller_of
from mqops.catalog import CatalogFeed
from mqops.streams import Letters


class LetterResource:
    """Dead letters of what the path names: a topic or a subscription, as ``kind`` says."""

    def __init__(self, access: Access, directory: Directory, feed: CatalogFeed, letters: Letters, kind: str) -> None:
        self._access = access
        self._directory = directory
        self._feed = feed
        self._letters = letters
        self._kind = kind

    def _find(self, req: Request, name: str) -> tuple[Caller, DeadLetters]:
        """Who asks, and where the letters are. Raises ``NotFound`` and ``Forbidden``."""
        caller = caller_of(self._access, req)
        return caller, self._directory.dead_letters(caller, self._kind, name)
