"""One HTTP connection, which nobody holds for nothing: deadlines, a bound on how many there are.

uvicorn has a time limit for idling after a request, and none before the first one, within a head,
within a body, or for a client that doesn't read its answer.
"""

import asyncio
import dataclasses
import enum
import socket
import time
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class Phase(enum.Enum):
    """What a connection waits for."""

    HEAD = "head"
    BODY = "body"
    ANSWER = "answer"
    IDLE = "idle"


@dataclasses.dataclass(frozen=True)
class Deadlines:
    """How long a client may take.

    Args:
        head: Seconds for the head of a request, from the connection or its first byte on.
        body: Seconds for its body to begin; it goes on as long as `body_rate` is kept.
        body_rate: Bytes a second that a body must have on average.
        answer: Seconds in which a client must take up some of its answer.
    """

    head: float
    body: float
    body_rate: float
    answer: float


class Connections:
    """All connections of a server.

    Where one too many comes, the one that has been silent for the longest goes. With none silent,
    the new one does.

    Args:
        most: How many there may be.
        deadlines: Deadlines of each connection.
    """

    def __init__(self, most: int, deadlines: Deadlines):
        self.most = most
        self.deadlines = deadlines
        self._all: set[HttpConnection] = set()

    def admit(self, connection: "HttpConnection") -> bool:
        """Takes one in; False where there is no room."""
        if len(self._all) >= self.most:
            silent = [c for c in self._all if c.phase is not Phase.ANSWER]
            if not silent:
                return False
            oldest = min(silent, key=lambda c: (c.phase is Phase.BODY, c.since))
            self._all.discard(oldest)
            oldest.transport.abort()
        self._all.add(connection)
        return True

    def leave(self, connection: "HttpConnection") -> None:
        """Lets one go."""
        self._all.discard(connection)


class HttpConnection(H11Protocol):
    """uvicorn's connection with deadlines.

    Args:
        connections: All connections of the server.
        **arguments: Arguments of uvicorn's own connection.

    Attributes:
        phase: The event that the connection waits for.
        since: Time at which that began.
    """

    def __init__(self, *, connections: Connections, **arguments: Any):
        super().__init__(**arguments)
        self.phase = Phase.HEAD
        self.since = time.monotonic()
        self._connections = connections
        self._deadlines = connections.deadlines
        self._timer: asyncio.TimerHandle | None = None
        self._body_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes the connection, or closes it where there are too many."""
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:  # a client that is gone is noticed
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._connections.admit(self):
            self._enter(Phase.HEAD)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends its timers, too."""
        self._connections.leave(self)
        self._cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads on, and notes what the connection waits for now."""
        if self.phase is Phase.BODY:
            self._body_bytes += len(data)
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Goes on with the next request."""
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        """The client doesn't read: it has some time to."""
        super().pause_writing()
        self._cancel()
        self._timer = self.loop.call_later(self._deadlines.answer, self._abort)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._cancel()

    def _unsupported_upgrade_warning(self) -> None:
        """Java's clients offer h2c with each request: that is no news."""

    def _look(self) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            phase = Phase.BODY if self.cycle.more_body else Phase.ANSWER
        elif self.timeout_keep_alive_task is not None:
            phase = Phase.IDLE  # uvicorn's own time limit
        else:
            phase = Phase.HEAD
        if phase is not self.phase:
            self._enter(phase)

    def _enter(self, phase: Phase) -> None:
        self.phase, self.since = phase, time.monotonic()
        self._cancel()
        if phase is Phase.HEAD:
            self._timer = self.loop.call_later(self._deadlines.head, self._time_out)
        elif phase is Phase.BODY:
            self._body_bytes = 0
            self._timer = self.loop.call_later(self._deadlines.body, self._check_body)

    def _check_body(self) -> None:
        if self._body_bytes >= self._deadlines.body_rate * (time.monotonic() - self.since):
            self._timer = self.loop.call_later(self._deadlines.body, self._check_body)
        else:
            self._time_out()

    def _time_out(self) -> None:
        """Says 408 where the client has begun a request, and closes."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE) and (
            self.phase is Phase.BODY or self.conn.trailing_data[0]
        ):
            text = b'{"error": "The request did not arrive in time"}'
            headers = [
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(text))),
                ("Connection", "close"),
            ]
            for event in (
                h11.Response(status_code=408, headers=headers, reason=b"Request Timeout"),
                h11.Data(data=text),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._cancel()
        self._timer = self.loop.call_later(1.0, self._abort)  # where the client doesn't read

    def _abort(self) -> None:
        self.transport.abort()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
