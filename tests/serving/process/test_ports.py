"""Ports that are taken before anybody listens at them."""

from __future__ import annotations

import asyncio
import socket

from keras_attn.serving.process.ports import bind


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
