"""Which topics a credential is limited to: patterns of full names, ``tenant/name``."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TopicScope:
    """``patterns`` as a manifest has them: a name without a tenant is one of ``home``, and ``*`` stands for any
    characters but ``/``."""

    home: str
    patterns: tuple[str, ...]

    def covers(self, tenant: str, name: str) -> bool:
        """Whether the topic or queue ``name`` of ``tenant`` is among them."""
        return any(self._is_meant(pattern, tenant, name) for pattern in self.patterns)

    def _is_meant(self, pattern: str, tenant: str, name: str) -> bool:
        owner, separator, named = pattern.rpartition("/")
        return _fits(owner if separator else self.home, tenant) and _fits(named, name)


def _fits(pattern: str, text: str) -> bool:
    """Whether ``text`` is ``pattern`` with something for each ``*``. Takes each part where it first comes, so the time
    grows with the length alone: a regular expression tries every way of sharing the characters among the stars, and
    patterns are their tenants' to write."""
    first, *others = pattern.split("*")
    if not others:
        return text == first
    *middle, last = others
    at = len(first)
    if not text.startswith(first) or len(text) < at + len(last):
        return False
    end = len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return text.endswith(last)
