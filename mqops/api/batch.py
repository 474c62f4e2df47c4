"""``POST /publish/batch``: up to 10,000 messages at once, to one topic or queue or to several of the tenant.

Each of its requests is taken or refused like one of its own; what became of each message is in the answer. All of them
leave for the engine in one turn of the event loop.
"""

from collections.abc import Sequence

from msgspec import UnsetType

from mqops.access import Access, Caller
from mqops.api.edge import Headers, Request, Response, caller_of, read_body
from mqops.api.errors import Answer
from mqops.api.management.page import refuse_unknown
from mqops.api.publication import Publication, Publishing
from mqops.api.publish import context_of, idempotency_key_of
from mqops.api.publish_answer import Result, answer_batch, answer_publish
from mqops.api.publish_body import Options, Part, options_of, parts_of, read_batch_body
from mqops.api.publisher import Publisher
from mqops.catalog import CatalogFeed
from mqops.errors import MqopsError


class PublishBatch:
    """From a batch to its answer."""

    def __init__(self, access: Access, publisher: Publisher, feed: CatalogFeed) -> None:
        self._access = access
        self._publisher = publisher
        self._feed = feed

    async def on_post(self, req: Request, resp: Response) -> None:
        answer = await self._answer(req, await read_body(req))
        resp.status, resp.data = answer.status, answer.body

    async def _answer(self, req: Request, data: bytes) -> Answer:
        caller, headers = caller_of(self._access, req), req.raw_headers
        refuse_unknown(req.params, ())
        body = read_batch_body(data)
        publications = _publications(parts_of(body), headers, options_of(body.options))
        if isinstance(body.requests, UnsetType):
            publishing = self._publisher.begin(caller, publications[0])
            return answer_publish(await self._publisher.finish(publishing), self._feed.current)
        begun = [self._begin(caller, publication) for publication in publications]
        results: list[Result] = []
        for publication, one in zip(publications, begun, strict=True):
            results += await self._results(publication, one)
        return answer_batch(results, self._feed.current)

    def _begin(self, caller: Caller, publication: Publication) -> Publishing | MqopsError:
        try:
            return self._publisher.begin(caller, publication)
        except MqopsError as error:
            return error

    async def _results(self, publication: Publication, begun: Publishing | MqopsError) -> Sequence[Result]:
        if isinstance(begun, Publishing):
            try:
                return await self._publisher.finish(begun)
            except MqopsError as error:
                begun = error  # deleted a moment ago
        return [begun] * len(publication.messages)


def _publications(parts: list[Part], headers: Headers, options: Options) -> list[Publication]:
    """Messages are numbered over all the batch: so each has an idempotency token of its own."""
    idempotency_key, context = idempotency_key_of(headers), context_of(headers)
    publications, first = [], 0
    for kind, name, messages in parts:
        publications.append(Publication(kind, name, messages, idempotency_key, context, options, first))
        first += len(messages)
    return publications
