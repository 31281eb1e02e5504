"""
stamps: a provider or receiver that knows when the kernel got each request, to the microsecond.

What a busy test process reads late was not sent late: the kernel's own stamp tells, on the wall
clock that time.time() shows. It answers at once, with a status and nothing behind it.
"""
import secrets
import selectors
import socket
import struct
import threading

from . import patience, stage
from .web import Seen

SO_TIMESTAMPNS = 35  # <asm-generic/socket.h>; Python has no name for it
ANSWER = b"HTTP/1.1 %d As Scripted\r\nContent-Length: 0\r\n\r\n"
STRAY = b"HTTP/1.1 410 Stray\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Stamps:
    """As web.Peer is asked, but `at` of a request is Unix time. said: statuses, the last one for ever."""

    def __init__(self, name="stamps", said=(200,)):
        self.name = name
        self.address = "127.0.0.1"
        self.token = "/" + secrets.token_hex(6)
        self.requests = []
        self._said = list(said)
        self._changed = threading.Condition()
        self._socket = stage.bound_socket(self.address)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.listen(1024)
        self.port = self._socket.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._ends, self._end = socket.socketpair()
        self._selector.register(self._ends, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def url(self, path="/"):
        return f"http://{self.address}:{self.port}{self.token}{path}"

    def got(self, count, timeout=None):
        """Waits until so many have come; all of them so far, as they were read."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.requests) >= count, patience.bound(timeout)):
                raise AssertionError(f"{self.story()}, not {count}")
            return list(self.requests)

    def arrivals(self):
        """When the callbacks of each request came: {requestId: [Unix time, …]}."""
        arrivals = {}
        for seen in self.requests:
            arrivals.setdefault(seen.id, []).append(seen.at)
        return arrivals

    def story(self):
        return f"{self.name} at {self.url()}: {len(self.requests)} requests"

    def close(self):
        self._end.send(b"x")
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._end.close()

    def _run(self):
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._ends:
                    return
                if key.fileobj is self._socket:
                    wire, _ = self._socket.accept()
                    wire.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
                    self._selector.register(wire, selectors.EVENT_READ, [b"", 0.0])
                else:
                    try:
                        self._read(key.fileobj, key.data)
                    except ConnectionError:  # whoever asked has gone
                        self._drop(key.fileobj)

    def _read(self, wire, half):
        """half: the bytes of a request that has not come whole, and when its first ones came."""
        got, ancillary, _, _ = wire.recvmsg(65536, 64)
        if not got:
            return self._drop(wire)
        if not half[0]:
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
            half[1] = seconds + nanoseconds / 1e9
        half[0] += got
        head, found, body = half[0].partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        if not target.startswith(self.token):
            wire.send(STRAY)
            return self._drop(wire)
        seen = Seen(half[1], wire.fileno(), method, target[len(self.token) :] or "/", lines)
        if len(body) < int(seen.headers.get("content-length", 0)):
            return
        seen.body, half[0] = body, b""
        with self._changed:
            status = self._said[min(len(self.requests), len(self._said) - 1)]
            self.requests.append(seen)
            self._changed.notify_all()
        wire.send(ANSWER % status)

    def _drop(self, wire):
        self._selector.unregister(wire)
        wire.close()
