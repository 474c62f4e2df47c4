"""Manifests that are written: short, and read back as the very resource."""

import pytest
from trees import DIGESTS, checked, manifest, together

from mqops.settings import Settings
from reconciler.manifests.check import Checked
from reconciler.manifests.deadletters import dead_letters
from reconciler.manifests.single import declared_again
from reconciler.manifests.write import documents, manifest_text

OTHER = Settings(default_ttl_ms=3_600_000, max_queue_length=7, consumer_timeout_ms=500, max_concurrent_consumers=9)

EVERYTHING = together(
    manifest("Tenant", "acme"),
    manifest("Tenant", "globex", "{displayName: Globex, state: closing}"),
    manifest("Credential", "plain", f"{{principal: checkout, keys: [{{sha256: {DIGESTS[1]}}}]}}"),
    manifest(
        "Credential",
        "rich",
        f'{{principal: "123", roles: [admin], keys: [{{sha256: {DIGESTS[2]}, expiresAt: "2030-01-01T00:00:00Z"}}]}}',
    ),
    manifest("Handler", "plain", "{type: http, http: {url: https://acme.example/hook}}"),
    manifest(
        "Handler",
        "rich",
        "{type: http, http: {url: https://acme.example/hook, timeout: 3s, headers: {X-On: 'on', X-Price: 'a$${b}'},"
        " signingSecret: {env: MQOPS_ACME_HOOK}}}",
    ),
    manifest("Topic", "orders", "{partitions: 4, public: true, producers: [checkout, web], maxMessageSize: 2KiB}"),
    manifest("Topic", "described", '{displayName: "yes", description: "one: two\\n  three # four\\n"}'),
    manifest("Topic", "orders.deadletter", "{consumers: [ops]}"),
    manifest("Topic", "failures", "{retention: 1d, maxBacklog: 5}"),
    manifest("Queue", "jobs"),
    manifest("Queue", "busy", "{ackDeadline: 2m, maxAttempts: 9, deadLetter: failures, state: paused}"),
    manifest("Subscription", "billing", "{topic: orders}"),
    manifest("Subscription", "letters", "{topic: orders.deadletter, startFrom: earliest}"),
    manifest("Subscription", "far", "{topic: acme/orders}", tenant="globex"),
    manifest(
        "Subscription",
        "rich",
        "{topic: orders, handler: rich, filter: 'payload.total > 100.0 && key != \"$${x}\"', concurrency: 1,"
        " retry: {multiplier: 1.5, jitter: 0}, deadLetter: failures, state: paused}",
    ),
)


def written(found: Checked, settings: Settings) -> str:
    letters = dead_letters(declared_again(found.resources))
    own = [one for one in found.resources if one.implied_by is None]
    return documents([manifest_text(one, letters, settings) for one in own])


@pytest.mark.parametrize("settings", [Settings(), OTHER], ids=["usual", "other"])
def test_what_is_written_is_read_as_the_same(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    found = checked(tmp_path_factory.mktemp("one"), {"all.yaml": EVERYTHING}, settings)
    assert found.problems == ()
    again = checked(tmp_path_factory.mktemp("two"), {"all.yaml": written(found, settings)}, settings)
    assert again.problems == ()
    assert [(one.identity, one.spec, one.implied_by) for one in again.resources] == [
        (one.identity, one.spec, one.implied_by) for one in found.resources
    ]


def test_only_what_differs_from_the_defaults_is_written_in_the_order_of_the_documents(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    found = checked(tmp_path_factory.mktemp("one"), {"all.yaml": EVERYTHING})
    texts = written(found, Settings()).split("---\n")
    by_name = {text.split("name: ")[1].split("\n")[0] + text.split("kind: ")[1][:3]: text for text in texts}
    assert by_name["acmeTen"] == "apiVersion: mqops/v1\nkind: Tenant\nmetadata:\n  name: acme\n"
    assert by_name["billingSub"].partition("spec:\n")[2] == "  topic: orders\n"
    assert by_name["orders.deadletterTop"].partition("spec:\n")[2] == "  consumers: [ops]\n"
    assert by_name["ordersTop"].partition("spec:\n")[2] == (
        "  partitions: 4\n  maxMessageSize: 2KiB\n  producers: [checkout, web]\n  public: true\n"
    )
    assert "roles" not in by_name["plainCre"]
    assert by_name["richSub"].partition("  retry:\n")[2] == (
        "    multiplier: 1.5\n    jitter: 0\n  deadLetter: failures\n  state: paused\n"
    )


def test_a_setting_of_the_installation_is_left_out_only_where_it_gives_the_same(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    found = checked(tmp_path_factory.mktemp("one"), {"all.yaml": EVERYTHING})
    assert "retention: 7d" not in written(found, Settings())
    assert "retention: 7d" in written(found, OTHER)


def test_labels_annotations_and_a_comment_stand_where_they_belong(tmp_path_factory: pytest.TempPathFactory) -> None:
    text = (
        "apiVersion: mqops/v1\nkind: Tenant\n"
        "metadata: {name: acme, labels: {team: web}, annotations: {mqops/protect: 'true'}}\n"
    )
    found = checked(tmp_path_factory.mktemp("one"), {"all.yaml": text})
    (tenant,) = found.resources
    assert manifest_text(tenant, dead_letters(()), Settings(), "First.\nSecond.") == (
        "# First.\n# Second.\napiVersion: mqops/v1\nkind: Tenant\nmetadata:\n  name: acme\n  labels:\n    team: web\n"
        "  annotations:\n    mqops/protect: 'true'\n"
    )
