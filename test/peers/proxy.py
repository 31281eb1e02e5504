"""
proxy: a wire between two programs that goes wrong on command.

    proxy.delay = 0.2        each piece comes so much later
    proxy.rate = 1           bytes a second, each way
    proxy.cut_after = 100    bytes, both ways together; then both sides see a reset
    proxy.freeze()           half-open: everything stays connected, nothing arrives any more
    proxy.thaw()
    proxy.hold("EVALSHA")    what is sent waits, on connections that have sent this Redis command
    proxy.waiting("x")       how many pieces wait, up to the one that has this text; 0 without it
    proxy.release(pieces)    so many go on, in order; without a number all, and nothing waits any more
    proxy.mute("EVALSHA")    what is answered is lost, on such connections, until they are cut
    proxy.refuse = True      new connections are closed at once
    proxy.cut()              breaks what is connected
    proxy.strangers          how many of those who came have not begun with a Redis command
"""
import asyncio
import os
import re
import shutil
import socket
import struct
import tempfile

from . import stage

PIECE = 64 * 1024
VERB = re.compile(rb"\$\d+\r\n([A-Z]{4,})\r\n")  # SHA-1s are lower-case


class Proxy:
    """Listens on a TCP `port`, with unix=True on a `path`; target: (host, port) or a path."""

    def __init__(self, target, unix=False):
        self.target = target
        self.delay = 0.0
        self.rate = None
        self.cut_after = None
        self.refuse = False
        self.accepted = 0
        self.clients = 0  # those among them that began with a Redis command
        self.bytes_up = 0  # from whoever connected, to the target
        self.bytes_down = 0
        self.commands = 0  # Redis commands among bytes_up
        self._pairs = {}  # to the Redis commands it has sent
        self._held = None
        self._kept = []  # (writer, bytes) that wait
        self._muted = None
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._short = tempfile.mkdtemp(prefix="fb-") if unix else None
        self.path = os.path.join(self._short, "proxy.sock") if unix else None
        self.port = None
        stage.play(self._listen())

    @property
    def redis_url(self):
        return f"unix:{self.path}" if self.path else f"redis://127.0.0.1:{self.port}"

    async def _listen(self):
        if self.path:
            self._server = await asyncio.start_unix_server(self._accept, self.path)
        else:
            sock = stage.bound_socket()
            sock.listen(1024)
            self.port = sock.getsockname()[1]
            self._server = await asyncio.start_server(self._accept, sock=sock)

    async def _accept(self, reader, writer):
        self.accepted += 1
        if self.refuse:
            return _reset(writer)
        try:
            await self._thawed.wait()
            opening = (
                asyncio.open_unix_connection(self.target)
                if isinstance(self.target, str)
                else asyncio.open_connection(*self.target)
            )
            far_reader, far_writer = await opening
        except OSError:
            return _reset(writer)
        pair = (writer, far_writer)
        self._pairs[pair] = set()
        try:
            await asyncio.gather(
                self._pump(reader, far_writer, pair, up=True),
                self._pump(far_reader, writer, pair, up=False),
            )
        finally:
            self._pairs.pop(pair, None)
            for side in pair:
                side.close()

    async def _pump(self, reader, writer, pair, up):
        counter = CommandCounter()
        try:
            while data := await reader.read(1 if self.rate else PIECE):
                if self.delay or self.rate:
                    await asyncio.sleep(self.delay + (len(data) / self.rate if self.rate else 0))
                await self._thawed.wait()
                sent = self._pairs[pair]
                if up:
                    self.clients += not counter.begun and data[:1] == b"*"
                    self.bytes_up += len(data)
                    sent.update(VERB.findall(data))
                    self.commands += counter.feed(data)
                    if self._held in sent:
                        self._kept.append((writer, data))
                        continue
                else:
                    self.bytes_down += len(data)
                    if self._muted in sent:
                        continue
                writer.write(data)
                await writer.drain()
                if self.cut_after is not None and self.bytes_up + self.bytes_down >= self.cut_after:
                    return self._break(pair)
            self._kept = [kept for kept in self._kept if kept[0] is not writer]  # nobody waits for it any more
            writer.write_eof()
        except OSError:
            self._break(pair)

    def _break(self, pair):
        for side in pair:
            _reset(side)

    def freeze(self):
        stage.call(self._thawed.clear)

    def thaw(self):
        stage.call(self._thawed.set)

    def hold(self, verb):
        self._held = verb.encode()

    def waiting(self, text):
        return next((n for n, (_, data) in enumerate(self._kept, 1) if text.encode() in data), 0)

    def release(self, pieces=None):
        stage.call(self._release, pieces)

    def _release(self, pieces):
        if pieces is None:
            self._held = None
        for writer, data in self._kept[:pieces]:
            writer.write(data)
        del self._kept[:pieces]

    def mute(self, verb):
        self._muted = verb.encode()

    def cut(self):
        stage.call(self._cut)

    def _cut(self):
        self._muted = None
        for pair in list(self._pairs):
            self._break(pair)

    @property
    def strangers(self):
        return self.accepted - self.clients

    @property
    def connected(self):
        return len(self._pairs)

    def close(self):
        stage.play(self._close())
        if self._short:
            shutil.rmtree(self._short, ignore_errors=True)

    async def _close(self):
        self._thawed.set()
        self._server.close()
        for pair in list(self._pairs):
            self._break(pair)


def _reset(writer):
    sock = writer.get_extra_info("socket")
    if sock.fileno() >= 0 and sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class CommandCounter:
    """Counts the commands in a stream of them (arrays of bulk strings), however it is cut."""

    def __init__(self):
        self.begun = False
        self._line = b""
        self._skip = 0  # bytes of a bulk string still to come, its end of line included

    def feed(self, data):
        found, at, self.begun = 0, 0, True
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
                continue
            end = data.find(b"\n", at)
            if end < 0:
                self._line += data[at:]
                break
            line, self._line, at = self._line + data[at : end + 1], b"", end + 1
            if line[:1] == b"*":
                found += 1
            elif line[:1] == b"$":
                self._skip = int(line[1:]) + 2
        return found
