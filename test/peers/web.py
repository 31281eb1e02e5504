"""
web: a scripted HTTP/1.1 server. A provider, a callback receiver, any host: behaviour is data.

    provider.answers(503, 503, {"a": 1})        one after the other, the last one for ever
    url = provider.serves("/slow", Answer(hold=gate))
    receiver.got(3)                             waits, bounded; the requests as they came

Every path starts with a token of its own: what strays in from another test (a retry to a port that
used to be someone else's) is turned away uncounted.
"""
import asyncio
import functools
import gzip
import json
import secrets
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

from . import patience, stage
from .stage import Gate

__all__ = ["Answer", "Gate", "Peer", "Seen"]

REASONS = {200: "OK", 204: "No Content", 404: "Not Found", 503: "Service Unavailable"}
PIECE = 64 * 1024  # bytes written between two looks at the reader's pace


@dataclass(eq=False)
class Answer:
    """What a peer says, and how it misbehaves while saying it."""

    status: int = 200
    body: object = b'{"ok":true}'  # bytes, or an iterable of them for what is too big to hold
    type: str = "application/json"  # None: no Content-Type
    headers: dict = field(default_factory=dict)
    framing: str = "length"  # length, chunked, or close (neither: ends with the connection)
    length: int = None  # a Content-Length to claim instead of the true one
    gzip: bool = False
    hold: Gate = None  # waits before the first byte
    hold_body: Gate = None  # waits between head and body
    drip: tuple = None  # (bytes, seconds): so many bytes, so far apart
    cut: int = None  # closes after so many bytes of the body
    reset: bool = False  # a cut is a reset; without `cut`: before the first byte
    close: bool = False  # says Connection: close, and does it
    raw: bytes = None  # exactly these bytes instead, then closes

    def __post_init__(self):
        if isinstance(self.body, str):
            self.body = self.body.encode()
        if self.gzip:
            self.body = gzip.compress(self.body, compresslevel=1)
            self.headers = {**self.headers, "Content-Encoding": "gzip"}

    @property
    def plain(self):
        """Nothing but bytes to write: needs no coroutine."""
        slow = self.hold or self.hold_body or self.drip or not isinstance(self.body, bytes)
        odd = self.reset or self.close or self.raw is not None or self.cut is not None
        return not slow and not odd and self.framing == "length"

    @functools.cached_property
    def head(self):
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'As Scripted')}"]
        if self.type is not None:
            lines.append(f"Content-Type: {self.type}")
        if self.framing == "length" and self.status not in (204, 304):
            length = len(self.body) if self.length is None else self.length
            lines.append(f"Content-Length: {length}")
        if self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
        if self.framing == "close" or self.close:
            lines.append("Connection: close")
        for name, value in self.headers.items():
            for one in value if isinstance(value, (list, tuple)) else [value]:
                lines.append(f"{name}: {one}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"

    @functools.cached_property
    def wire(self):
        return self.head + (b"" if self.status in (204, 304) else self.body)


def as_answer(said):
    """503, {"json": 1}, "text", b"binary" or an Answer."""
    if isinstance(said, Answer) or callable(said):
        return said
    if isinstance(said, int):
        return Answer(said)
    if isinstance(said, dict):
        return Answer(body=json.dumps(said).encode())
    if isinstance(said, str):
        return Answer(body=said, type="text/plain; charset=utf-8")
    return Answer(body=said, type="application/octet-stream")


class Seen:
    """A request as it came: when, over which connection, with what."""

    __slots__ = (
        "at", "answered", "connection", "method", "path", "query", "headers", "lines", "body",
    )

    def __init__(self, at, connection, method, target, lines):
        self.at = at  # monotonic time of its first byte
        self.answered = None  # when we had said all
        self.connection = connection
        self.method = method
        self.path, _, self.query = target.partition("?")
        self.lines = lines  # header lines, as written
        self.headers = {}  # lower-case name: value, repeated ones joined
        for line in lines:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            known = self.headers.get(name)
            self.headers[name] = value.strip() if known is None else f"{known}, {value.strip()}"
        self.body = b""

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def id(self):
        return self.json["requestId"]

    def __repr__(self):
        return f"<{self.method} {self.path} at {self.at:.3f} {self.body[:80]!r}>"


class _Connection(asyncio.Protocol):
    def __init__(self, peer):
        self.peer = peer
        self.buffer = bytearray()
        self.began = None  # when the first byte of the request under way came
        self.seen = None  # its head, while the body is still coming
        self.wanted = 0
        self.task = None
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport):
        self.transport = transport
        self.peer.opened += 1
        self.number = self.peer.opened
        self.peer.connections.add(self)

    def connection_lost(self, error):
        self.peer.connections.discard(self)
        self.writable.set()
        if self.task:
            self.task.cancel()

    def pause_writing(self):
        self.writable.clear()

    def resume_writing(self):
        self.writable.set()

    def data_received(self, data):
        if self.began is None:
            self.began = time.monotonic()
        self.buffer += data
        self.peer.bytes_read += len(data)
        self._advance()

    def _advance(self):
        while self.task is None:
            if self.seen is None and not self._read_head():
                return
            if not self._read_body():
                return
            seen, self.seen = self.seen, None
            self.began = time.monotonic() if self.buffer else None
            self._respond(seen)

    def _read_head(self):
        if self.buffer and not self.buffer[:1].isalpha():
            return self._turn_away(b"400 No HTTP")
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        first, *lines = bytes(self.buffer[:end]).decode("latin-1").split("\r\n")
        del self.buffer[: end + 4]
        method, target, _ = first.split(" ", 2)
        if not target.startswith(self.peer.token):
            return self._turn_away(b"410 Stray")
        target = target[len(self.peer.token) :] or "/"
        self.seen = Seen(self.began or time.monotonic(), self.number, method, target, lines)
        coding = self.seen.headers.get("transfer-encoding")
        self.wanted = None if coding else int(self.seen.headers.get("content-length", 0))
        if self.peer.hasty:
            self.transport.write(as_answer(self.peer.hasty.pop(0)).wire)
            self.transport.pause_reading()
            self.peer._note(self.seen)
            return False
        return True

    def _turn_away(self, status):
        closing = b"Connection: close\r\nContent-Length: 0\r\n\r\n"
        self.transport.write(b"HTTP/1.1 %s\r\n%s" % (status, closing))
        self.transport.close()
        return False

    def _read_body(self):
        if self.wanted is None:
            return self._read_chunks()
        if len(self.buffer) < self.wanted:
            return False
        self.seen.body = bytes(self.buffer[: self.wanted])
        del self.buffer[: self.wanted]
        return True

    def _read_chunks(self):
        end = self.buffer.find(b"0\r\n\r\n")
        if end < 0:
            return False
        rest, body = bytes(self.buffer[:end]), b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        self.seen.body = body
        del self.buffer[: end + 5]
        return True

    def _respond(self, seen):
        answer = self.peer._next(seen)
        self.peer._note(seen)
        if answer.plain and len(answer.wire) < PIECE:
            seen.answered = time.monotonic()
            self.transport.write(answer.wire)
        else:
            self.peer._begin()
            self.task = stage.loop().create_task(self._perform(seen, answer))

    async def _perform(self, seen, answer):
        try:
            if answer.hold:
                await answer.hold.passed()
            await self._tell(answer)
        except asyncio.CancelledError:
            return
        finally:
            seen.answered = time.monotonic()
            self.peer._end()
            self.task = None
        if answer.framing == "close" or answer.close or answer.raw is not None:
            self.transport.close()
        else:
            self._advance()

    async def _tell(self, answer):
        if answer.reset and answer.cut is None:
            return self._hang_up(True)
        if answer.raw is not None:
            return await self._write(answer.raw, answer.drip)
        await self._write(answer.head, None)
        if answer.hold_body:
            await answer.hold_body.passed()
        left = answer.cut
        pieces = (answer.body,) if isinstance(answer.body, bytes) else answer.body
        for whole in pieces:
            for at in range(0, len(whole), PIECE):
                piece = whole[at : at + PIECE]
                piece = piece if left is None else piece[:left]
                if piece and answer.framing == "chunked":
                    await self._write(b"%x\r\n%s\r\n" % (len(piece), piece), answer.drip)
                elif piece:
                    await self._write(piece, answer.drip)
                if left is not None:
                    left -= len(piece)
                    if left <= 0:
                        return self._hang_up(answer.reset)
        if answer.cut is not None:
            return self._hang_up(answer.reset)
        if answer.framing == "chunked":
            await self._write(b"0\r\n\r\n", None)

    async def _write(self, data, drip):
        size, pause = drip or (len(data) or 1, 0)
        for at in range(0, len(data), size):
            if self.transport.is_closing():
                raise asyncio.CancelledError
            self.transport.write(data[at : at + size])
            self.peer.bytes_written += len(data[at : at + size])
            if pause:
                await asyncio.sleep(pause)
        await self.writable.wait()

    def _hang_up(self, reset):
        if reset:
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self.transport.close()


class Peer:
    """One host: listens from its birth on; `down` and `up` keep its port."""

    def __init__(self, name="peer", address="127.0.0.1", tls=None, said=200):
        self.name = name
        self.address = address
        self.tls = tls  # an ssl.SSLContext
        self.token = "/" + secrets.token_hex(6)
        self.requests = []
        self.connections = set()
        self.opened = 0  # connections ever accepted
        self.busy = 0  # answers under way (those that take time)
        self.busiest = 0
        self.bytes_read = 0
        self.bytes_written = 0
        self.hasty = []  # answers to the first requests, whose bodies are never read
        self._scripts = {}
        self._changed = threading.Condition()
        self._server = None
        self.port = None
        self.answers(said)
        self.up()

    # -- behaviour

    def answers(self, *said, path=None):
        """The script of a path (of all without one of their own): the last answer repeats."""
        self._scripts[path] = [[as_answer(one) for one in said], 0]
        return self

    def serves(self, path, *said):
        """The same for one path; its URL."""
        self.answers(*said, path=path)
        return self.url(path)

    def url(self, path="/", host=None, port=None):
        host = host or (f"[{self.address}]" if ":" in self.address else self.address)
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{host}:{port or self.port}{self.token}{path}"

    def _next(self, seen):
        script = self._scripts.get(seen.path) or self._scripts[None]
        said = script[0][min(script[1], len(script[0]) - 1)]
        script[1] += 1
        return as_answer(said(seen)) if not isinstance(said, Answer) else said

    # -- what was seen

    def _note(self, seen):
        with self._changed:
            self.requests.append(seen)
            self._changed.notify_all()

    def _begin(self):
        with self._changed:
            self.busy += 1
            self.busiest = max(self.busiest, self.busy)
            self._changed.notify_all()

    def _end(self):
        with self._changed:
            self.busy -= 1
            self._changed.notify_all()

    def at(self, path):
        return [seen for seen in self.requests if seen.path == path]

    def got(self, count, path=None, timeout=None):
        """Waits until `count` requests (of this path) have come; all of them so far, in order."""
        seen = lambda: self.requests if path is None else self.at(path)
        with self._changed:
            if not self._changed.wait_for(lambda: len(seen()) >= count, patience.bound(timeout)):
                raise AssertionError(
                    f"{self.name} {self.url(path or '/')} got {len(seen())} requests, not {count}: "
                    f"{seen()[-5:]}"
                )
            return list(seen())

    def holds(self, count, timeout=None):
        """Waits until so many answers are under way at once."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.busy >= count, patience.bound(timeout)):
                raise AssertionError(f"{self.name} holds {self.busy} exchanges, not {count}")

    # -- presence

    def up(self):
        sock = stage.bound_socket(self.address, port=self.port)
        sock.listen(4096)
        self.port = sock.getsockname()[1]
        self._server = stage.play(self._listen(sock))

    async def _listen(self, sock):
        return await stage.loop().create_server(lambda: _Connection(self), sock=sock, ssl=self.tls)

    def down(self):
        """Refuses connections and breaks those there are."""
        stage.play(self._close())

    async def _close(self):
        if self._server:
            self._server.close()
            self._server = None
        for connection in list(self.connections):
            if connection.task:
                connection.task.cancel()
            connection.transport.abort()
        await asyncio.sleep(0)

    close = down

    def story(self):
        counts = f"{len(self.requests)} requests, {self.opened} connections"
        told = [repr(seen) for seen in self.requests[-20:]]
        return "\n".join([f"{self.name} at {self.url()}: {counts}", *told])


class BlackHole:
    """A port whose connections are never established: its queue is full from the start."""

    def __init__(self):
        self._socket = stage.bound_socket()
        self._socket.listen(0)
        self.port = self._socket.getsockname()[1]
        self._fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def close(self):
        for sock in [self._socket, *self._fillers]:
            sock.close()
