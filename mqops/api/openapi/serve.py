"""``GET /openapi.json``: for everybody, since it tells nothing of anybody."""

import asyncio
import json
from functools import cache

from mqops.api.edge import Request, Response, write_json
from mqops.api.openapi.document import description


@cache
def description_text() -> bytes:
    """As it is served and as it stands in ``schemas/``."""
    return json.dumps(description(), indent=2, ensure_ascii=False).encode() + b"\n"


class OpenApi:
    """The description of the API that answers."""

    async def on_get(self, req: Request, resp: Response) -> None:
        write_json(resp, await asyncio.to_thread(description_text))
