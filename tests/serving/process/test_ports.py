"""Ports that are taken before anybody listens at them."""

from __future__ import annotations

import asyncio
import socket
import sys

import pytest

from keras_attn.serving.process.ports import bind, close_queue


def test_answers_are_not_held_back():
    """asyncio sets TCP_NODELAY for what is accepted here."""
    accepted = asyncio.Event()
    held_back = []

    def accept(_, writer):
        connection = writer.get_extra_info("socket")
        held_back.append(not connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()
        accepted.set()

    async def connect():
        listener = bind("127.0.0.1", 0)
        async with await asyncio.start_server(accept, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            await accepted.wait()
            writer.close()

    asyncio.run(connect())
    assert held_back == [False]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such filter")
def test_a_closed_queue_keeps_who_is_in_it_and_takes_nobody_new():
    with bind("127.0.0.1", 0) as listener:
        listener.listen()
        place = listener.getsockname()
        with socket.create_connection(place) as early:
            close_queue(listener)
            with pytest.raises(TimeoutError):  # Linux has room for one in a queue of none
                socket.create_connection(place, timeout=0.3)
            accepted, address = listener.accept()
            with accepted:
                assert address == early.getsockname()
                early.sendall(b"?")
                accepted.sendall(accepted.recv(1))
                assert early.recv(1) == b"?"
            with pytest.raises(TimeoutError):
                socket.create_connection(place, timeout=0.3)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(place)
