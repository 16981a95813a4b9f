"""Free ports and readiness probes of the embedded stack, in a few raw bytes so that no client library is needed."""

import random
import socket
import struct

LOOPBACK = "127.0.0.1"

# Below Linux' ephemeral range: no outgoing connection takes the port between the choice and the server's bind.
_PORTS = range(15_000, 32_000)

_METADATA, _FIND_COORDINATOR = 3, 10
_GROUP, _TRANSACTION = 0, 1


def bindable(port: int) -> bool:
    """True if a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A loopback port that nothing listens on."""
    return next(port for port in random.sample(_PORTS, len(_PORTS)) if bindable(port))


def redis_ready(port: int) -> bool:
    """True once the server answers PING; while it loads its file it answers something else."""
    return _ask(port, b"PING\r\n", len(b"+PONG")) == b"+PONG"


def kafka_ready(port: int) -> bool:
    """True once the broker lists itself in the metadata and has a coordinator for groups and for transactions.

    Asking for a coordinator makes the broker create its internal topic, so the first client need not wait for that.
    """
    metadata = _ask_kafka(port, _METADATA, 1, struct.pack(">i", 0), 8)
    if len(metadata) < 8 or struct.unpack(">i", metadata[4:8])[0] < 1:
        return False
    return _has_coordinator(port, _GROUP) and _has_coordinator(port, _TRANSACTION)


def _has_coordinator(port: int, kind: int) -> bool:
    key = b"ready"
    reply = _ask_kafka(port, _FIND_COORDINATOR, 1, struct.pack(f">h{len(key)}sb", len(key), key, kind), 10)
    # correlation id, throttle time, error code
    return len(reply) == 10 and struct.unpack(">iih", reply)[2] == 0


def _ask_kafka(port: int, api: int, version: int, body: bytes, size: int) -> bytes:
    """The first `size` bytes of the reply after its length; the client id is null."""
    request = struct.pack(">hhih", api, version, 1, -1) + body
    return _ask(port, struct.pack(">i", len(request)) + request, 4 + size)[4:]


def _ask(port: int, request: bytes, size: int) -> bytes:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            connection.sendall(request)
            return connection.recv(size, socket.MSG_WAITALL)
    except OSError:
        return b""
