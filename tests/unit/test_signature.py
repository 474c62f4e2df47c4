"""Signing webhooks: what the reference verifier accepts, and what our own one refuses."""

import base64
import time
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook

from mqops.handlers.signature import NotVerified, Unsigned, Verified, sign, signing_key, verify

KEY = b"0123456789abcdef0123456789abcdef"
WHSEC = "whsec_" + base64.b64encode(KEY).decode()
MESSAGE_ID = "01936b2e-0000-7000-8000-000000000000"
BODY = '{"total": 120, "note": "grün"}'.encode()


def signed(key: bytes = KEY, at: int | None = None, body: bytes = BODY) -> dict[str, str]:
    timestamp = int(time.time()) if at is None else at
    return {
        "webhook-id": MESSAGE_ID,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(key, MESSAGE_ID, timestamp, body),
    }


def test_the_reference_verifier_accepts_it() -> None:
    assert Webhook(WHSEC).verify(BODY, signed(signing_key(WHSEC))) == {"total": 120, "note": "grün"}


def test_a_text_secret_signs_with_its_own_bytes() -> None:
    secret = "correct horse battery staple"
    Webhook(secret.encode()).verify(BODY, signed(signing_key(secret)))


def test_it_verifies_what_the_reference_signs() -> None:
    headers = signed()
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    headers["webhook-signature"] = Webhook(WHSEC).sign(MESSAGE_ID, at, BODY.decode())
    assert verify(headers, BODY, {"acme/billing": KEY}, time.time()) == Verified("acme/billing")


def test_a_body_that_is_no_text_is_signed_too() -> None:
    body = bytes(range(256))
    assert verify(signed(body=body), body, {"k": KEY}, time.time()) == Verified("k")


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("whsec_???", "not base64"),
        ("whsec_" + base64.b64encode(b"short").decode(), "this one has 5"),
        ("whsec_", "this one has 0"),
        ("only twenty-three bytes", "this one has 23"),
    ],
)
def test_a_secret_that_cannot_sign_is_refused_without_quoting_it(secret: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refusal:
        signing_key(secret)
    assert secret not in str(refusal.value) or secret == "whsec_"


def test_base64_without_its_padding_is_read() -> None:
    assert signing_key(WHSEC.rstrip("=")) == KEY


def test_one_of_several_signatures_is_enough() -> None:
    headers = signed()
    headers["webhook-signature"] = "v1,bm90IHRoaXMgb25l v2,x " + headers["webhook-signature"]
    assert verify(headers, BODY, {"other": b"x" * 24, "mine": KEY}, time.time()) == Verified("mine")


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        pytest.param({}, BODY, Unsigned(), id="no signature"),
        pytest.param(signed(b"x" * 24), BODY, NotVerified("no secret verifies this signature"), id="another's"),
        pytest.param(signed(), BODY + b" ", NotVerified("no secret verifies this signature"), id="another body"),
        pytest.param({**signed(), "webhook-id": "x"}, BODY, NotVerified("no secret verifies this signature"), id="id"),
        pytest.param({**signed(), "webhook-signature": "nonsense"}, BODY, None, id="nonsense"),
        pytest.param({**signed(), "webhook-signature": "v1,\u00e9"}, BODY, None, id="not ASCII"),
        pytest.param({**signed(), "webhook-timestamp": "soon"}, BODY, None, id="no number"),
        pytest.param({**signed(), "webhook-timestamp": "9" * 400}, BODY, None, id="a number too far"),
        pytest.param({"webhook-signature": "v1,x"}, BODY, None, id="neither id nor time"),
    ],
)
def test_what_is_not_verified(headers: dict[str, str], body: bytes, expected: NotVerified | Unsigned | None) -> None:
    verdict = verify(headers, body, {"mine": KEY}, time.time())
    assert verdict == expected if expected is not None else isinstance(verdict, NotVerified)


@pytest.mark.parametrize("away", [-301, 301])
def test_an_old_or_future_request_is_not_trusted(away: int) -> None:
    now = 1_700_000_000
    assert verify(signed(at=now + away), BODY, {"mine": KEY}, now) == NotVerified(
        "signed by mine, but 301 s away from this clock"
    )


def test_within_five_minutes_it_is() -> None:
    assert verify(signed(at=1_700_000_000), BODY, {"mine": KEY}, 1_700_000_300) == Verified("mine")
