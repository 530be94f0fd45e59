"""Ports that are taken before anybody listens at them."""

import ctypes
import errno
import socket
import struct

from keras_attn._checks import check_int


def check_port(name: str, port: int) -> None:
    """Raises ValueError unless `port` is one, or 0."""
    check_int(name, port, "an integer from 0 to 65535", least=0, most=65535)


def bind(host: str, port: int) -> socket.socket:
    """Returns a socket that has taken a port, and does not listen yet.

    Until it does, it shares its port with nobody, although lingering connections of a server that
    has ended don't keep it from having it. Whoever listens sets SO_REUSEADDR again, which the
    connections of its own inherit.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only for a socket that says TCP does asyncio set TCP_NODELAY, without which the second part
    # of each answer waits 40 ms for the client's acknowledgement of the first.
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if family == socket.AF_INET6 and socket.has_dualstack_ipv6():
            taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # as gRPC does
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError as error:
        taken.close()
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"can't be had: {error}"
        raise OSError(error.errno, f"port {port} at {host} {reason}; choose another") from error
    return taken


def bind_shared(host: str, port: int) -> socket.socket:
    """Returns a socket that holds a port for several processes; OSError where another has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as alone:  # fails where even one that shares has it
            # But not where connections of a server that has ended linger.
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind((host, port))
            port = alone.getsockname()[1]
        reserved = socket.socket(family)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind((host, port))
    except OSError as error:
        raise OSError(f"port {port} at {host} can't be had for gRPC; choose another") from error
    return reserved


def close_queue(listener: socket.socket) -> None:
    """Lets nobody new queue at a listening socket: once the queue is empty, closing resets nobody.

    On Linux the kernel drops what asks for a connection, and a handshake that has begun still
    ends. Who was dropped asks again within a second, and is refused if the socket is closed by
    then. Elsewhere the queue is made short, and whoever slips into it at the last moment is reset.
    """
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _NO_SYN))
    program = struct.pack("HP", len(_NO_SYN), ctypes.addressof(code))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    except OSError:  # this system has none
        listener.listen(0)


_SO_ATTACH_FILTER = 26  # Linux's number, which Python does not name
_NO_SYN = (  # code, jump if true, jump if false, number: classic BPF on a segment of TCP
    (0x30, 0, 0, 13),  # the byte of its flags
    (0x54, 0, 0, 0x12),  # SYN and ACK of them
    (0x15, 0, 1, 0x02),  # if it is SYN alone, which asks for a connection,
    (0x06, 0, 0, 0),  # none of it passes,
    (0x06, 0, 0, 0xFFFFFFFF),  # else all
)


def host_of(listener: socket.socket) -> str:
    """Returns the address of a socket as a URL has it."""
    host = listener.getsockname()[0]
    return f"[{host}]" if ":" in host else host
