"""Who holds a TCP port: asked before anything is started, so that the answer is one clear line."""

import contextlib
import errno
import socket

import psutil

from mqops.errors import ConfigurationError


def free_port(host: str) -> int:
    """A port that nobody listens on right now."""
    with socket.create_server((host, 0)) as server:
        port: int = server.getsockname()[1]
        return port


def reachable_host(host: str) -> str:
    """What to write in a URL to reach, from this machine, a server that listens on ``host``."""
    wildcards = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104 - compared, not listened on
    return wildcards.get(host) or url_host(host)


def url_host(host: str) -> str:
    """``host`` as URLs and addresses with a port have it: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def check_port_is_free(host: str, port: int) -> None:
    """Raises ``ConfigurationError`` naming the holder when ``port`` cannot be listened on."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"port {port} is taken by {holder_of(port)}: end it, or choose another port (PORT={port + 100})"
            ) from error
        raise ConfigurationError(
            f"cannot listen on {host}:{port} ({error.strerror}): set PORT or MQOPS_HOST"
        ) from error


def holder_of(port: int) -> str:
    """The process that listens on ``port``, as far as this user may know."""
    holders = []
    with contextlib.suppress(psutil.AccessDenied):
        for connection in psutil.net_connections("tcp"):
            is_listener = connection.status == psutil.CONN_LISTEN and getattr(connection.laddr, "port", None) == port
            if is_listener and connection.pid is not None:
                with contextlib.suppress(psutil.NoSuchProcess):
                    holders.append(psutil.Process(connection.pid))
    if not holders:
        return "a process of another user"
    # A server and its workers share the socket: the one that was there first is the one to end.
    first = min(holders, key=lambda process: (process.create_time(), process.pid))
    try:
        return f"process {first.pid} ({' '.join(first.cmdline())[:200] or first.name()})"
    except psutil.Error:
        return f"process {first.pid}"
