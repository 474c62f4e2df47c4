"""The service token: whom it stands for, in whichever way a request goes."""

from api_platform import ACME, NOT_A_KEY, SERVICE_TOKEN, Platform
from served import API, Answer, Client

WHOLE = {"payload": 1}


def as_service(client: Client, tenant: str | None, token: str = SERVICE_TOKEN) -> tuple[Answer, Answer]:
    """The answers to a publish, directly and by the application."""
    caller = client.with_key(client.key, tenant)
    direct = caller.publish("untouched-by-services", WHOLE, X_Service_Token=token)
    routed = caller.send(
        "POST", f"{API}/topics/untouched-by-services/publish", iter([b'{"payload": 1}']), {"X-Service-Token": token}
    )
    return direct, routed


def test_a_service_publishes_and_reads_in_the_tenant_that_it_names(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader()
    service = platform.client.with_key(None, "acme")
    assert service.publish(topic, WHOLE, X_Service_Token=SERVICE_TOKEN).status == 200
    [message] = platform.acme.pull(reader)
    assert message["producer"] == "system/service"
    token = {"X-Service-Token": SERVICE_TOKEN}
    assert service.get(f"{API}/topics/{topic}/messages", **token).status == 200
    assert service.get(f"{API}/topics/{topic}", **token).status == 200
    assert service.send("DELETE", f"{API}/topics/{topic}", None, token).status == 403
    assert service.post("/queues", {"name": "made-by-a-service"}, X_Service_Token=SERVICE_TOKEN).status == 403


def test_without_a_tenant_it_acts_in_its_own(platform: Platform) -> None:
    topic, _ = platform.topic_with_reader()
    assert platform.client.publish(topic, WHOLE, X_Service_Token=SERVICE_TOKEN).code == "TOPIC_NOT_FOUND"
    assert platform.client.with_key(None, "none").publish(topic, WHOLE, X_Service_Token=SERVICE_TOKEN).status == 404


def test_a_wrong_one_is_refused_also_beside_a_key(platform: Platform) -> None:
    for client in (platform.client, platform.acme):
        for token in (f"{SERVICE_TOKEN}x", "", NOT_A_KEY, ACME):
            for answer in as_service(client, None, token):
                assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")


def test_it_goes_before_a_key_that_is_handed_on(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader()
    for key in (ACME, NOT_A_KEY):
        client = platform.client.with_key(key, "acme")
        assert client.publish(topic, WHOLE, X_Service_Token=SERVICE_TOKEN).status == 200
    assert [message["producer"] for message in platform.acme.pull(reader)] == ["system/service"] * 2


def test_it_is_no_key(platform: Platform) -> None:
    assert platform.client.with_key(SERVICE_TOKEN, "acme").publish("any", WHOLE).status == 401
