"""
stamps: a callback receiver that knows when the kernel got each callback, to the microsecond.

What a busy test process reads late was not sent late: the kernel's own stamp tells, on the wall
clock that time.time() shows.
"""
import json
import selectors
import socket
import struct
import threading

from . import stage

SO_TIMESTAMPNS = 35  # <asm-generic/socket.h>; Python has no name for it
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Stamps:
    def __init__(self):
        self.arrivals = {}  # requestId: [Unix time, …]
        self._socket = stage.bound_socket()
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
        return f"http://127.0.0.1:{self.port}{path}"

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
                    self._read(key.fileobj, key.data)

    def _read(self, wire, half):
        """half: the bytes of a request that has not come whole, and when its first ones came."""
        try:
            got, ancillary, _, _ = wire.recvmsg(65536, 64)
        except ConnectionError:
            got, ancillary = b"", []
        if not got:
            self._selector.unregister(wire)
            wire.close()
            return
        if not half[0]:
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
            half[1] = seconds + nanoseconds / 1e9
        half[0] += got
        head, found, body = half[0].partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        half[0] = b""
        self.arrivals.setdefault(json.loads(body)["requestId"], []).append(half[1])
        wire.send(ANSWER)
