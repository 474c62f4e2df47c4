"""Which addresses a tenant's webhooks may reach."""

import socket
from ipaddress import ip_address

import pytest

from mqops.errors import ConfigurationError
from mqops.handlers.targets import Allowance, TargetPolicy, TargetRefused, guarded_socket_factory, why_not_public

PUBLIC = [
    "93.184.215.14",
    "8.8.8.8",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
]
PRIVATE = [
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
    "100::1",
    "4000::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_the_public_internet_may_be_reached(address: str) -> None:
    assert why_not_public(ip_address(address)) is None
    open_socket(Allowance(), address, 443).close()


@pytest.mark.parametrize("address", PRIVATE)
def test_nothing_else_may(address: str) -> None:
    assert why_not_public(ip_address(address)) is not None
    with pytest.raises(TargetRefused, match="MQOPS_PRIVATE_TARGETS"):
        open_socket(Allowance(), address, 443)


@pytest.mark.parametrize("address", PRIVATE)
def test_unless_everything_is_allowed(address: str) -> None:
    open_socket(policy(acme=["*"]).allowance("acme"), address, 443).close()


def test_an_allowed_address_is_reached_at_its_port_by_its_tenant_alone() -> None:
    ours = policy(acme=["10.0.0.5:8080", "[fd00::5]:8080"])
    open_socket(ours.allowance("acme"), "10.0.0.5", 8080).close()
    open_socket(ours.allowance("acme"), "::ffff:10.0.0.5", 8080).close()
    open_socket(ours.allowance("acme"), "fd00::5", 8080).close()
    for tenant, address, port in [
        ("acme", "10.0.0.5", 8081),
        ("acme", "10.0.0.6", 8080),
        ("globex", "10.0.0.5", 8080),
        ("acm", "10.0.0.5", 8080),
    ]:
        with pytest.raises(TargetRefused):
            open_socket(ours.allowance(tenant), address, port)


def test_an_allowed_name_is_as_the_url_writes_it() -> None:
    allowance = policy(system=["audit-service:3008"]).allowance("system")
    assert allowance.permits_name("audit-service", 3008)
    assert allowance.permits_name("Audit-Service.", 3008)
    assert not allowance.permits_name("audit-service", 80)
    assert not allowance.permits_name("notaudit-service", 3008)
    assert not policy(system=["audit-service:3008"]).allowance("acme").permits_name("audit-service", 3008)


def test_what_every_tenant_may_is_added_to_what_one_may() -> None:
    ours = TargetPolicy({"*": ("127.0.0.1:3011",), "acme": ("10.0.0.5:80",)})
    for address, port in [("127.0.0.1", 3011), ("10.0.0.5", 80)]:
        open_socket(ours.allowance("acme"), address, port).close()
    open_socket(ours.allowance("globex"), "127.0.0.1", 3011).close()
    with pytest.raises(TargetRefused):
        open_socket(ours.allowance("globex"), "10.0.0.5", 80)


@pytest.mark.parametrize(
    "target", ["10.0.0.5", "host", "host:", ":80", "host:http", "host:99999", "user@host:80", "host:80/x", "fd00::5:80"]
)
def test_an_allowance_that_cannot_be_read_is_an_error_that_quotes_it(target: str) -> None:
    with pytest.raises(ConfigurationError, match="MQOPS_PRIVATE_TARGETS"):
        policy(acme=[target])


def policy(**targets: list[str]) -> TargetPolicy:
    return TargetPolicy({tenant: tuple(values) for tenant, values in targets.items()})


def open_socket(allowance: Allowance, address: str, port: int) -> socket.socket:
    if ":" in address:
        info = (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0))
    else:
        info = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
    return guarded_socket_factory(allowance)(info)
