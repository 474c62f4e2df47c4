"""``POST /plans``: what applying manifests would do that the caller has; nothing is changed."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from mqops.access import Access
from mqops.api.edge import Request, Response, caller_of, decode, read_body, write_json
from mqops.api.management.configuration import Changes, Planned, Proposal, Show
from mqops.api.management.page import refuse_unknown
from mqops.api.management.write import PLANNERS
from mqops.errors import Forbidden, InvalidRequest
from mqops.model import KINDS, SYSTEM_TENANT, Identity

MAX_FILES = 20_000


class PlansBody(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Manifests, and how much of them to plan: what the options of `mqops plan` say."""

    files: Annotated[dict[str, str], msgspec.Meta(max_length=MAX_FILES)]
    """Each file's text, by its name relative to the directory of manifests."""
    source: str | None = None
    """The Source whose manifests these are; without it, they are the whole tree, or of the one Source that the tenant
    has."""
    targets: list[str] = []
    """``kind/tenant/name``: only these, and what they need."""
    labels: dict[str, str] = {}
    """Only what has all of these, and what it needs."""
    refresh_only: bool = False
    """Only what was changed outside is put back."""
    take_over: list[str] = []
    """Sources that are no more; of a whole tree alone."""
    allow_data_loss: bool = False
    allow_mass_delete: list[Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]] = []
    unprotect: list[str] = []
    """``kind/tenant/name``: may be deleted although it is protected."""
    adopt: bool = False
    """What was made over this API becomes the Source's that declares it."""
    show: Show | None = None
    """Put into words, too."""
    directory: Annotated[str, msgspec.Meta(max_length=4096)] = ""
    """What the names of files stand below, in those words."""


_decoder = msgspec.json.Decoder(PlansBody)
_KINDS = {kind.name.lower(): kind for kind in KINDS.values()}


class Plans:
    """Plans of manifests."""

    def __init__(self, access: Access, changes: Changes) -> None:
        self._access = access
        self._changes = changes

    async def on_post(self, req: Request, resp: Response) -> None:
        caller = caller_of(self._access, req)
        caller.require_one_of(PLANNERS)
        refuse_unknown(req.params, ())
        body = decode(_decoder, await read_body(req))
        sees_all = caller.is_of_system and caller.tenant == SYSTEM_TENANT
        proposal = _proposal(body, None if sees_all else caller.tenant)
        write_json(resp, await self._changes.plan(proposal, _written))


def _proposal(body: PlansBody, tenant: str | None) -> Proposal:
    if body.take_over and tenant is not None:
        raise Forbidden(f"sources are taken over by principals of the tenant {SYSTEM_TENANT}")
    if body.take_over and body.source is not None:
        raise InvalidRequest("takeOver goes with the whole tree: leave source out")
    return Proposal(
        files=body.files,
        tenant=tenant,
        source=body.source,
        targets=_identities("targets", body.targets),
        labels=body.labels,
        is_refresh_only=body.refresh_only,
        take_over=body.take_over,
        may_lose=body.allow_data_loss,
        mass_deletes=body.allow_mass_delete,
        unprotected=_identities("unprotect", body.unprotect),
        adopts=body.adopt,
        show=body.show,
        directory=body.directory,
    )


def _identities(field: str, words: Sequence[str]) -> list[Identity]:
    return [_identity(f"{field}[{index}]", word) for index, word in enumerate(words)]


def _identity(path: str, word: str) -> Identity:
    first, *names = word.split("/")
    kind = _KINDS.get(first)
    if kind is None or len(names) != 1 + kind.has_tenant or not all(names):
        raise InvalidRequest(f"{path}: {word!r} is not kind/tenant/name, like topic/acme/orders or tenant/acme")
    return Identity(kind.name, *(names if kind.has_tenant else ("", *names)))


def _written(planned: Planned) -> bytes:
    answer = {
        "plan": planned.plan,
        "held": planned.held,
        "heldBack": planned.held_back,
        "warnings": planned.warnings,
    }
    return msgspec.json.encode({**answer, **planned.shown})
