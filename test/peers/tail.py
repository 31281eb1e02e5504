"""
tail: a log that is followed over HTTP, as a browser would: server-sent events one after the other.

    tail = Tail(pipeline, request)
    tail.next()                 the next event, waited for, bounded; None when the server has closed
    tail.rest()                 all until then
    tail.beats                  how many heartbeats stood between them: it had been quiet for so long
"""
import json
import socket
import time
from dataclasses import dataclass

from . import patience


@dataclass
class Event:
    name: str  # "message" for an event of the log
    id: int  # None for none
    data: dict


class Tail:
    """buffer: bytes that the system may keep for a reader that does not read."""

    def __init__(self, pipeline, request, last=None, query="follow=1", buffer=None, key=None):
        self._socket = socket.socket()
        if buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._socket.settimeout(patience.bound(None))
        self._socket.connect(("127.0.0.1", pipeline.port))
        resume = "" if last is None else f"Last-Event-ID: {last}\r\n"
        allowed = "" if key is None else f"Authorization: Bearer {key}\r\n"
        self._socket.sendall(
            f"GET /requests/{request}/logs?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n{allowed}{resume}\r\n".encode()
        )
        self._input = self._socket.makefile("rb", buffering=0 if buffer else -1)
        self._headers = None
        self.beats = 0

    @property
    def head(self):
        """Status and headers; waits for them."""
        if self._headers is None:
            first, self._headers = self._input.readline(), {}
            self.status = int(first.split()[1])
            while (line := self._input.readline().strip()):
                name, _, value = line.decode().partition(": ")
                self._headers[name.lower()] = value
        return self.status, self._headers

    def next(self):
        assert self.head[0] == 200, self.head
        deadline, fields = time.monotonic() + patience.bound(None), {}
        while (line := self._input.readline()):
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if line.startswith(b":"):
                self.beats += 1
                assert time.monotonic() < deadline, "nothing came but heartbeats"
            elif name:
                fields[name] = value
            elif "data" in fields:
                number = int(fields["id"]) if "id" in fields else None
                return Event(fields.get("event", "message"), number, json.loads(fields["data"]))
        return None

    def take(self, count):
        return [self.next() for _ in range(count)]

    def rest(self):
        return list(iter(self.next, None))

    def close(self):
        self._input.close()
        self._socket.close()
