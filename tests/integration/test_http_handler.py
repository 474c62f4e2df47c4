"""The webhook handler against real receivers."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path

import pytest
from aiohttp import web
from sinks import always, ok, sink
from standardwebhooks.webhooks import Webhook

from mqops.embedded.port import free_port
from mqops.handlers.http import HttpSender
from mqops.handlers.invocation import Invocation
from mqops.handlers.outcome import Failed, Outcome, Rejected, Succeeded
from mqops.handlers.secrets import SecretStore
from mqops.handlers.targets import TargetPolicy
from mqops.message import Delivery, Envelope, Position, format_id, new_message_id
from mqops.model import HttpHandler

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
EVERYTHING = {"*": ("*",)}
MESSAGE_ID = new_message_id(3)


def invocation(
    payload: bytes = b'{"total": 120}', key: str = "customer-7", attempt: int = 1, envelope: Envelope | None = None
) -> Invocation:
    delivery = Delivery(
        position=Position(1, 1),
        partition=3,
        token=9,
        attempt=attempt,
        id=MESSAGE_ID,
        key=key,
        envelope=envelope or Envelope(),
        payload=payload,
    )
    return Invocation("acme", "acme/orders", "billing", delivery)


def handler(url: str, **settings: object) -> HttpHandler:
    return HttpHandler.model_validate({"url": url, **settings})


@asynccontextmanager
async def sender(
    private_targets: Mapping[str, tuple[str, ...]] | None = None, directory: Path = Path("/nonexistent")
) -> AsyncIterator[HttpSender]:
    policy = TargetPolicy(EVERYTHING if private_targets is None else private_targets)
    ours = HttpSender(policy, SecretStore(directory, {"MQOPS_ACME_BILLING": SECRET}, lambda: ("acme",)))
    try:
        yield ours
    finally:
        await ours.close()


def send(answer: Callable[[web.Request], Awaitable[web.StreamResponse]], timeout_ms: int = 2_000) -> Outcome:
    """What one delivery to a receiver that answers so comes to."""

    async def main() -> Outcome:
        async with sink(answer) as receiver, sender() as ours:
            return await ours.send(handler(receiver.url()), invocation(), timeout_ms)

    return asyncio.run(main())


def test_the_payload_arrives_byte_for_byte_with_what_is_known_of_it() -> None:
    async def main() -> None:
        payload = b'{ "total":1.50,\r\n "name":"gr\xc3\xbcn" }\n'
        envelope = Envelope(
            headers={"region": "eu", "not a token": "x", "umlaut": "ü", "line": "a\r\nInjected: b", "webhook-id": "no"},
            content_type="application/vnd.order+json",
            traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            tracestate="vendor=1",
            correlation_id="order 7",
        )
        async with sink() as receiver, sender() as ours:
            hook = handler(
                receiver.url("/hook?a=b%2Fc"),
                headers={"X-App": "mqops", "Authorization": "Bearer t", "Mqops-Attempt": "9"},
                signingSecret={"env": "MQOPS_ACME_BILLING"},
            )
            assert await ours.send(hook, invocation(payload, envelope=envelope, attempt=2), 2_000) == Succeeded()
            headers, body = receiver.requests[0]
        assert body == payload
        assert headers["content-type"] == "application/vnd.order+json"
        assert headers["webhook-id"] == format_id(MESSAGE_ID)
        assert abs(int(headers["webhook-timestamp"]) - time.time()) < 5
        assert headers["x-app"] == "mqops"
        assert headers["authorization"] == "Bearer t"
        assert (headers["traceparent"], headers["tracestate"]) == (envelope.traceparent, "vendor=1")
        assert {name: value for name, value in headers.items() if name.startswith("mqops-")} == {
            "mqops-topic": "acme/orders",
            "mqops-subscription": "billing",
            "mqops-attempt": "2",
            "mqops-key": "customer-7",
            "mqops-correlation-id": "order 7",
            "mqops-header-region": "eu",
            "mqops-header-webhook-id": "no",
        }
        assert "injected" not in headers
        Webhook(SECRET).verify(body, headers, json_parse=False)

    asyncio.run(main())


def test_without_a_secret_nothing_is_signed_and_a_key_no_header_can_carry_is_left_out() -> None:
    async def main() -> None:
        async with sink() as receiver, sender() as ours:
            await ours.send(handler(receiver.url()), invocation(b"\x00\xff", key="schlüssel"), 2_000)
            headers, body = receiver.requests[0]
        assert body == b"\x00\xff"
        assert (
            not {"webhook-signature", "mqops-key", "mqops-correlation-id", "traceparent", "tracestate", "cookie"}
            & headers.keys()
        )

    asyncio.run(main())


def test_attempts_share_their_id_and_connections_are_used_again() -> None:
    async def main() -> None:
        async with sink() as receiver, sender() as ours:
            for attempt in range(1, 6):
                await ours.send(handler(receiver.url()), invocation(attempt=attempt), 2_000)
            assert {headers["webhook-id"] for headers, _ in receiver.requests} == {format_id(MESSAGE_ID)}
            assert len(receiver.peers) == 1

    asyncio.run(main())


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_succeeds(status: int) -> None:
    assert send(always(status)) == Succeeded()


@pytest.mark.parametrize(
    ("status", "brief"),
    [
        (301, "answered 301 Moved Permanently (redirects are not followed)"),
        (307, "answered 307 Temporary Redirect (redirects are not followed)"),
        (400, "answered 400 Bad Request"),
        (404, "answered 404 Not Found"),
        (500, "answered 500 Internal Server Error"),
        (599, "answered 599"),
    ],
)
def test_other_statuses_fail_with_what_was_answered(status: int, brief: str) -> None:
    assert send(always(status, "no\x00\r\n\tthanks ")) == Failed(brief, "no thanks")


@pytest.mark.parametrize("status", [410, 489])
def test_gone_and_never_again_reject_for_good(status: int) -> None:
    outcome = send(always(status, "gone away"))
    assert isinstance(outcome, Rejected)
    assert outcome.detail.endswith(": gone away")


def test_a_redirect_is_not_followed() -> None:
    async def main() -> None:
        async with sink() as elsewhere, sink(always(302, Location=elsewhere.url())) as receiver, sender() as ours:
            await ours.send(handler(receiver.url()), invocation(), 2_000)
            assert elsewhere.requests == []

    asyncio.run(main())


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_receiver_says_when_to_come_back(status: int) -> None:
    outcome = send(always(status, Retry_After="7"))
    assert isinstance(outcome, Failed)
    assert outcome.retry_after_ms == 7_000


def test_or_names_the_time() -> None:
    outcome = send(always(503, Retry_After=formatdate(time.time() + 60, usegmt=True)))
    assert isinstance(outcome, Failed)
    assert outcome.retry_after_ms is not None
    assert 55_000 < outcome.retry_after_ms <= 60_000


@pytest.mark.parametrize(
    ("status", "text"), [(500, "7"), (503, "soon"), (503, "-7"), (503, "7.5"), (503, ""), (503, "9" * 40)]
)
def test_what_is_no_such_wish_is_passed_over(status: int, text: str) -> None:
    outcome = send(always(status, Retry_After=text))
    assert isinstance(outcome, Failed)
    assert outcome.retry_after_ms is None


def test_a_past_time_means_now() -> None:
    outcome = send(always(503, Retry_After=formatdate(0, usegmt=True)))
    assert isinstance(outcome, Failed)
    assert outcome.retry_after_ms == 0


def test_an_answer_that_does_not_come_is_a_time_out() -> None:
    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    started = time.monotonic()
    assert send(slow, timeout_ms=150) == Failed("no answer within 150ms")
    assert time.monotonic() - started < 1.5


def test_the_status_decides_even_if_the_body_never_ends() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=int(request.headers["x-status"]))
        await response.prepare(request)
        while True:
            await response.write(b"tick\n")
            await asyncio.sleep(0.2)

    async def main() -> None:
        async with sink(endless) as receiver, sender() as ours:
            hook = handler(receiver.url(), headers={"X-Status": "200"})
            assert await ours.send(hook, invocation(), 500) == Succeeded()
            hook = handler(receiver.url(), headers={"X-Status": "500"})
            outcome = await ours.send(hook, invocation(), 500)
            assert isinstance(outcome, Failed)
            assert outcome.excerpt.startswith("tick")

    asyncio.run(main())


def test_a_huge_answer_is_not_read_and_a_compressed_one_stays_closed() -> None:
    async def main() -> None:
        async def huge(request: web.Request) -> web.StreamResponse:
            return web.Response(status=500, body=b"x" * 50_000_000)

        async with sink(huge) as receiver, sender() as ours:
            outcome = await ours.send(handler(receiver.url()), invocation(), 5_000)
            assert isinstance(outcome, Failed)
            assert len(outcome.excerpt) == 1024
            receiver.answer = always(500, "not gzip at all", Content_Encoding="gzip")
            outcome = await ours.send(handler(receiver.url()), invocation(), 5_000)
            assert outcome == Failed("answered 500 Internal Server Error", "(15 bytes or more, gzip)")

    asyncio.run(main())


def test_cookies_are_not_kept() -> None:
    async def main() -> None:
        async with sink(always(200, Set_Cookie="tenant=acme; Path=/")) as receiver, sender() as ours:
            for _ in range(2):
                await ours.send(handler(receiver.url(host="localhost")), invocation(), 2_000)
            assert all("cookie" not in headers for headers, _ in receiver.requests)

    asyncio.run(main())


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert send(ok) == Succeeded()


def test_what_keeps_an_answer_from_coming_is_said_without_the_url() -> None:
    async def main() -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

        async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail.example ESMTP\r\n")
            await writer.drain()
            writer.close()

        async with sender() as ours:
            for talk, expected in [(hang_up, "closed before an answer came"), (babble, "not valid HTTP")]:
                server = await asyncio.start_server(talk, "127.0.0.1", 0)
                port = server.sockets[0].getsockname()[1]
                outcome = await ours.send(handler(f"http://127.0.0.1:{port}/s3cret"), invocation(), 2_000)
                server.close()
                assert isinstance(outcome, Failed)
                assert expected in outcome.brief
                assert "s3cret" not in outcome.detail
            port = free_port("127.0.0.1")
            outcome = await ours.send(handler(f"http://127.0.0.1:{port}/s3cret"), invocation(), 2_000)
            assert isinstance(outcome, Failed)
            assert outcome.brief.startswith("cannot connect to 127.0.0.1:")
            assert "s3cret" not in outcome.detail
            outcome = await ours.send(handler("http://nowhere.invalid/"), invocation(), 10_000)
            assert outcome == Failed("host name nowhere.invalid could not be resolved")
            for url in ("http://2130706433/", "http://127.1/"):
                assert isinstance(await ours.send(handler(url), invocation(), 2_000), Failed)
        async with sink() as receiver, sender() as ours:
            outcome = await ours.send(handler(receiver.url().replace("http:", "https:")), invocation(), 2_000)
            assert isinstance(outcome, Failed)
            assert outcome.brief.startswith("cannot connect to 127.0.0.1:")

    asyncio.run(main())


def test_a_secret_that_is_missing_fails_and_can_be_mended(tmp_path: Path) -> None:
    async def main() -> None:
        async with sink() as receiver, sender(directory=tmp_path) as ours:
            hook = handler(receiver.url(), signingSecret={"file": "billing"})
            assert await ours.send(hook, invocation(), 2_000) == Failed(
                "secret file acme/billing is not in the secrets directory"
            )
            (tmp_path / "acme").mkdir()
            (tmp_path / "acme" / "billing").write_text("too short\n")
            outcome = await ours.send(hook, invocation(), 2_000)
            assert isinstance(outcome, Failed)
            assert outcome.brief.startswith("secret acme/billing cannot sign: a signing secret needs 24 bytes")
            assert receiver.requests == []
            (tmp_path / "acme" / "billing").write_text(SECRET + "\n")
            assert await ours.send(hook, invocation(), 2_000) == Succeeded()
            Webhook(SECRET).verify(receiver.bodies[0], receiver.requests[0][0])

    asyncio.run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "127.0.0.1."])
def test_a_private_target_is_refused_and_never_connected_to(host: str) -> None:
    async def main() -> str:
        async with sink() as receiver, sender({}) as ours:
            outcome = await ours.send(handler(receiver.url(host=host)), invocation(), 2_000)
            assert isinstance(outcome, Failed)
            assert receiver.peers == set()
            return outcome.brief

    brief = asyncio.run(main())
    if host in {"127.0.0.1", "localhost"}:
        assert "MQOPS_PRIVATE_TARGETS" in brief


def test_a_tenants_connections_are_not_lent_to_one_that_may_not_go_there() -> None:
    async def main() -> None:
        async with sink() as receiver:
            allowed = {"acme": (f"127.0.0.1:{receiver.port}",), "initech": (f"localhost:{receiver.port}",)}
            async with sender(allowed) as ours:
                for host in ("127.0.0.1", "localhost"):
                    hook = handler(receiver.url(host=host))
                    assert await ours.send(hook, invocation(), 2_000) == Succeeded()
                assert await ours.send(handler(receiver.url(host="localhost")), at("initech"), 2_000) == Succeeded()
                assert await ours.send(handler(receiver.url()), at("initech"), 2_000) != Succeeded()
                for host in ("127.0.0.1", "localhost"):  # with acme's and initech's connections idle in their pools
                    outcome = await ours.send(handler(receiver.url(host=host)), at("globex"), 2_000)
                    assert isinstance(outcome, Failed)
                    assert "MQOPS_PRIVATE_TARGETS" in outcome.brief
            assert len(receiver.requests) == 3

    asyncio.run(main())


def test_a_cancelled_delivery_leaves_nothing_behind() -> None:
    async def main() -> None:
        async def slow(request: web.Request) -> web.Response:
            await asyncio.sleep(30)
            return web.Response()

        async with sink(slow) as receiver, sender() as ours:
            task = asyncio.create_task(ours.send(handler(receiver.url()), invocation(), 20_000))
            await receiver.received(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())


def at(tenant: str) -> Invocation:
    return Invocation(tenant, "acme/orders", "billing", invocation().delivery)
