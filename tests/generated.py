"""Trees of manifests that hypothesis draws, in pairs: what is applied, and what comes after it.

Names are few, so that pairs have most of them in common, for other things: renames, replaces, handovers. References
lead somewhere. ``MQOPS_TEST_EXAMPLES`` asks for a long run: so many examples, other ones each time; without it, the
examples are few and always the same.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, reject, settings
from hypothesis import strategies as st
from trees import manifest

from mqops.model import PROTECT
from mqops.settings import Settings
from reconciler.manifests.check import Checked, check_files
from reconciler.planning.change import Action, Change, Reason
from reconciler.planning.plan import Plan
from reconciler.state import Observed

EXAMPLES = int(os.environ.get("MQOPS_TEST_EXAMPLES", "0"))
IS_LONG = EXAMPLES > 0

_POOL = {"Tenant": "tu", "Topic": "abc", "Queue": "abq", "Handler": "hi", "Subscription": "rsa"}


_NEW = "n"
"""What nothing was called before: mostly, something is renamed to it."""


def examples(few: int) -> settings:
    """``few`` examples, or as many as are asked for."""
    unhealthy = [HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(
        deadline=None,
        max_examples=EXAMPLES or few,
        derandomize=not IS_LONG,
        database=None,
        phases=(Phase.generate, *((Phase.shrink,) if IS_LONG else ())),
        suppress_health_check=unhealthy,
    )


@dataclass(frozen=True)
class Tree:
    """Manifests by the path of their file."""

    files: Mapping[str, str]

    def checked(self) -> Checked:
        found = check_files({name: text.encode() for name, text in self.files.items()}, Settings())
        if found.problems:
            reject()
        return found


@dataclass(frozen=True)
class Pair:
    """What is applied, and what comes after it."""

    before: Tree
    after: Tree

    def __repr__(self) -> str:
        """What fails can be read."""
        return "\n".join(
            f"# {title}: {name}\n{text}"
            for title, tree in (("before", self.before), ("after", self.after))
            for name, text in tree.files.items()
        )


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    """Two trees, the second of which may say what its resources were called in the first."""
    return Pair(draw(_trees(renames=False)), draw(_trees(renames=True)))


class _Drawing:
    """One tree being drawn: a document goes into the folder of one of the sources."""

    def __init__(self, draw: st.DrawFn, *, renames: bool) -> None:
        self._draw = draw
        self._renames = renames
        self.folders: dict[str, list[str]] = {"left": [], "right": []}

    def one_of(self, *choices: str) -> str:
        """The first is the most likely."""
        return self._draw(st.sampled_from((choices[0], *choices)))

    def some(self, kind: str, least: int, most: int) -> list[str]:
        names = st.sampled_from(_POOL[kind] + (_NEW if self._renames and kind != "Tenant" else ""))
        return sorted(self._draw(st.sets(names, min_size=least, max_size=most)))

    def is_so(self, percent: int) -> bool:
        return self._draw(st.integers(0, 99)) < percent

    def add(self, kind: str, name: str, spec: str = "{}", tenant: str = "", folder: str | None = None) -> None:
        text = manifest(kind, name, spec, tenant)
        more = ""
        if self._renames and kind != "Tenant" and self.is_so(90 if name == _NEW else 15):
            former = self.one_of(*_POOL[kind])
            more += "" if former == name else f", renamedFrom: {former}"
        if self._renames and kind == "Tenant" and self.is_so(15):
            more += f", renamedFrom: {'u' if name == 't' else 't'}"
        if kind in ("Topic", "Subscription") and self.is_so(8):
            more += f', annotations: {{{PROTECT}: "true"}}'
        text = text.replace(f"name: {name}}}", f"name: {name}{more}}}")
        self.folders[folder or self.one_of("left", "right")].append(text)


@st.composite
def _trees(draw: st.DrawFn, *, renames: bool) -> Tree:
    drawing = _Drawing(draw, renames=renames)
    topics: dict[str, list[str]] = {}
    public: list[str] = []
    tenants = drawing.some("Tenant", 1, 2)
    for tenant in tenants:
        drawing.add("Tenant", tenant, "{state: closing}" if drawing.is_so(15) else "{}", folder="left")
        topics[tenant] = drawing.some("Topic", 1, 2)
        for name in topics[tenant]:
            is_public = drawing.is_so(60)
            public += [f"{tenant}/{name}"] if is_public else []
            partitions = drawing.one_of("2", "1", "3")
            drawing.add("Topic", name, f"{{partitions: {partitions}, public: {str(is_public).lower()}}}", tenant)
    for tenant in tenants:
        _add_readers(drawing, tenant, topics[tenant], [name for name in public if not name.startswith(f"{tenant}/")])
    prune = {folder: drawing.one_of("true", "true", "false") for folder in drawing.folders}
    much = "maxDeletes: {resources: 1000}"
    sources = [
        manifest("Source", folder, f"{{path: {folder}, prune: {prune[folder]}, {much}}}") for folder in drawing.folders
    ]
    files = {f"{folder}/all.yaml": "---\n".join(documents) for folder, documents in drawing.folders.items()}
    return Tree({"sources.yaml": "---\n".join(sources), **{name: text for name, text in files.items() if text}})


def _add_readers(drawing: _Drawing, tenant: str, topics: list[str], foreign: list[str]) -> None:
    queues = [name for name in drawing.some("Queue", 0, 1) if name not in topics]
    handlers = drawing.some("Handler", 0, 1)
    for name in queues:
        drawing.add("Queue", name, f"{{partitions: {drawing.one_of('2', '1')}}}", tenant)
    for name in handlers:
        drawing.add("Handler", name, "{type: http, http: {url: http://x}}", tenant)
    for name in drawing.some("Subscription", 1, 2):
        if name in queues:
            continue
        reads = drawing.one_of(*topics, *foreign)
        begins = drawing.one_of("earliest", "latest")
        pushed = f", handler: {handlers[0]}" if handlers and drawing.is_so(50) else ""
        letters = ", deadLetter: dead" if drawing.is_so(20) else ""
        drawing.add("Subscription", name, f"{{topic: {reads}, startFrom: {begins}{pushed}{letters}}}", tenant)


FEATURES = (
    *(action.value for action in Action if action not in (Action.REPAIR, Action.ADOPT)),
    *("replaced: spec.partitions", "replaced: spec.topic", "replaced: spec.startFrom", "replaced: kind"),
    *("topic replaced", "parent replaced", "implied dead letters", "queue", "cross-tenant"),
    *("not pruned", "protected", "closing tenant", "refused", "two sources"),
)
"""What has to occur among the examples for them to say anything."""


def features(found: Plan, there: Observed, checked: Checked) -> Iterable[str]:
    """What occurs in the plan of a pair, each once."""
    every = [*found.changes, *(refusal.change for refusal in found.refused)]
    yield from {change.action.value for change in found.changes}
    yield from {f"replaced: {path}" for change in every if change.action is Action.REPLACE for path in change.forced_by}
    yield from {change.reason.value.replace("_", " ") for change in every if change.reason in _FOLLOWING}
    resources = checked.resources
    told = {
        "implied dead letters": any(it.implied_by and it.identity.kind == "Topic" for it in resources),
        "queue": any(it.identity.kind == "Queue" for it in resources),
        "cross-tenant": any("/" in it.spec.get("topic", "") for it in resources),
        "not pruned": any(not spec.prune for spec in checked.sources.values()),
        "protected": any(_is_protected(change) for change in every),
        "closing tenant": any(it.spec.get("state") == "closing" for it in resources),
        "refused": bool(found.refused),
        "two sources": len({it.managed_by for it in resources if it.identity.kind != "Source"}) > 1,
    }
    yield from (feature for feature, is_there in told.items() if is_there)


_FOLLOWING = (Reason.TOPIC_REPLACED, Reason.PARENT_REPLACED)


def _is_protected(change: Change) -> bool:
    return change.gone is not None and change.gone.resource.annotations.get(PROTECT) == "true"


def report(title: str, seen: Counter[str]) -> str:
    """The frequencies as a table."""
    lines = (f"  {seen[feature]:6} {feature}" for feature in sorted({*FEATURES, *seen}))
    return "\n".join((f"\n{title}", *lines))
