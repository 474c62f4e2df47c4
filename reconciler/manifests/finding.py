"""What a rule finds wrong, before its place is looked up. Pure.

Places and suggestions cost far more than finding something: a tree of 40,000 resources whose every reference is wrong
is still to be reported within seconds. So they are worked out together, at the end, and suggestions for the first ones.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from mqops.nearest import nearest
from reconciler.manifests.load import places_of
from reconciler.manifests.parse import Document
from reconciler.manifests.places import Path, Places, spelled
from reconciler.manifests.problem import Problem, Rule

_MOST_SUGGESTIONS = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong at ``path`` of ``document``."""

    document: Document
    path: Path
    message: str
    rule: Rule
    suggestion: str = ""
    name: str = ""
    """What is named and not there: the nearest of ``candidates`` is suggested for it."""
    candidates: Collection[str] = ()


def located(findings: Iterable[Finding]) -> list[Problem]:
    """The findings as problems, each with its line and column."""
    problems: list[Problem] = []
    places: dict[int, Places] = {}
    suggested = 0
    for finding in findings:
        document = finding.document
        if id(document) not in places:
            places[id(document)] = places_of(document)
        suggestion = finding.suggestion
        if finding.name and suggested < _MOST_SUGGESTIONS:
            suggestion = nearest(finding.name, finding.candidates)
            suggested += 1
        line, column = places[id(document)].value(finding.path)
        path = spelled(finding.path)
        problems.append(Problem(document.file, line, column, path, finding.message, finding.rule, suggestion))
    return problems
