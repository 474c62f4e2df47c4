"""Who is calling, and what they may do. Knows neither HTTP nor the catalog: it says what it needs of both.

``credentials`` tells callers from what they present and has the rules; ``tokens`` and ``jwks`` are about tokens of the
platform's auth service, and are loaded only where such tokens are taken.
"""

from mqops.access.credentials import Access, Caller, Principal, Tokens
from mqops.access.failures import Failures

__all__ = ["Access", "Caller", "Failures", "Principal", "Tokens"]
