"""Which addresses a tenant's webhooks may reach: the public internet, and what the operator allows beside it.

A webhook's URL comes from a tenant, and this process stands inside the operator's network; so the address that is
really connected to is judged, whatever name led to it and whenever that name was resolved. What the operator allows
(``MQOPS_PRIVATE_TARGETS``) is per tenant: a connection that one tenant may hold is never lent to another that may not,
because connections are pooled per allowance (see ``http``).

Ranges: the IANA special-purpose registries, https://www.iana.org/assignments/iana-ipv4-special-registry and
https://www.iana.org/assignments/iana-ipv6-special-registry.
"""

import errno
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import AddrInfoType

from mqops.errors import ConfigurationError

Address = IPv4Address | IPv6Address

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_IETF_PROTOCOLS = IPv4Network("192.0.0.0/24")
"""Some of it is routed, says the registry, and some cloud's metadata service is in it: no place for a webhook."""
_AZURE_WIRE_SERVER = IPv4Address("168.63.129.16")
"""Azure's metadata and host service: reachable from inside a machine only, though the address looks public."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """The private targets of one tenant. Two tenants with equal allowances may share connections."""

    everything: bool = False
    names: frozenset[tuple[str, int]] = frozenset()
    """Host names as a URL writes them, with their ports: wherever they lead."""
    addresses: frozenset[tuple[Address, int]] = frozenset()

    def permits_name(self, host: str, port: int) -> bool:
        """Whether ``host`` may be connected to whatever its address turns out to be."""
        return self.everything or (_plain(host), port) in self.names

    def permits_address(self, address: Address, port: int) -> bool:
        return self.everything or (_unmapped(address), port) in self.addresses


class TargetPolicy:
    """The operator's allowances, by tenant. Raises ``ConfigurationError`` for one that cannot be read."""

    def __init__(self, private_targets: Mapping[str, tuple[str, ...]]) -> None:
        self._everyone = _read_targets(private_targets.get("*", ()))
        self._named = {tenant: _read_targets(targets) for tenant, targets in private_targets.items() if tenant != "*"}

    def allowance(self, tenant: str) -> Allowance:
        """What ``tenant`` may reach beside the public internet: its own targets, and those of every tenant."""
        own = self._named.get(tenant)
        if own is None:
            return self._everyone
        return Allowance(
            own.everything or self._everyone.everything,
            own.names | self._everyone.names,
            own.addresses | self._everyone.addresses,
        )


class TargetRefused(OSError):
    """The address is not public, and the operator has not allowed it."""


def guarded_socket_factory(allowance: Allowance) -> Callable[[AddrInfoType], socket.socket]:
    """Makes sockets for connections, but none for an address that is refused: there ``TargetRefused`` is raised.

    It is given the very address that is connected to next, so no second look-up can slip another in.
    """

    def open_socket(info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, place = info
        address, port = ip_address(str(place[0])), int(place[1])
        why = why_not_public(address)
        if why is not None and not allowance.permits_address(address, port):
            raise TargetRefused(
                errno.EACCES, f"{address} is {why}; the operator allows such targets with MQOPS_PRIVATE_TARGETS"
            )
        return socket.socket(family, kind, protocol)

    return open_socket


def why_not_public(address: Address) -> str | None:
    """What makes ``address`` no public one, or None. An IPv4 address within an IPv6 one is judged by itself."""
    if isinstance(address, IPv4Address):
        return _why_not_public_v4(address)
    embedded = _embedded(address)
    if embedded is not None:
        why = _why_not_public_v4(embedded)
        return why and f"{embedded} in IPv6 form, {why}"
    if address.is_unspecified:
        return "the unspecified address"
    if address.is_loopback:
        return "a loopback address"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast:
        return "a multicast address"
    # Teredo (2001::/32) is private to Python's registry too, whatever IPv4 addresses it carries.
    if address not in _GLOBAL_UNICAST or address.is_private or address.is_reserved:
        return "a private or reserved address"
    return None


def _why_not_public_v4(address: IPv4Address) -> str | None:
    if address.is_unspecified:
        return "the unspecified address"
    if address.is_loopback:
        return "a loopback address"
    if address.is_link_local or address == _AZURE_WIRE_SERVER:
        return "a link-local or metadata address"
    if address.is_multicast:
        return "a multicast address"
    if address.is_reserved or not address.is_global or address in _IETF_PROTOCOLS:
        return "a private or reserved address"
    return None


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a gateway would send this one's packets to."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _unmapped(address: Address) -> Address:
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _plain(host: str) -> str:
    return host.lower().rstrip(".")


def _read_targets(targets: tuple[str, ...]) -> Allowance:
    names: set[tuple[str, int]] = set()
    addresses: set[tuple[Address, int]] = set()
    for target in targets:
        if target == "*":
            return Allowance(everything=True)
        host, port = _read_target(target)
        try:
            addresses.add((_unmapped(ip_address(host)), port))
        except ValueError:
            names.add((_plain(host), port))
    return Allowance(False, frozenset(names), frozenset(addresses))


def _read_target(target: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:/?#@\[\]]+)):([0-9]{1,5})", target)
    if match is None or not 0 < int(match[3]) < 65_536:
        raise ConfigurationError(f"MQOPS_PRIVATE_TARGETS: {target!r} is not host:port, [IPv6]:port or *")
    return match[1] or match[2], int(match[3])
