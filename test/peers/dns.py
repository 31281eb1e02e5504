"""
dns: a name server whose answers are data, one after the other: rebinding is two lines.

    dns.answers("a.test", "127.0.0.2")                    one address, for ever
    dns.answers("b.test", ["127.0.0.2"], ["127.0.0.1"])   another the second time
    dns.answers("c.test", ["127.0.0.2", "127.0.0.1"])     both at once
    dns.silent.add("d.test")                              never answers
"""
import asyncio
import ipaddress
import socket
import struct

from . import stage

TYPES = {1: 4, 28: 6}  # A, AAAA: the version of the addresses that answer it


class Dns(asyncio.DatagramProtocol):
    def __init__(self):
        self.silent = set()
        self.asked = []  # (name, type)
        self.ttl = 0
        self._scripts = {}
        self._said = {}  # question, as it came: its answer
        self._sock = stage.bound_socket(kind=socket.SOCK_DGRAM)
        self.port = self._sock.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        stage.play(self._listen())

    async def _listen(self):
        await stage.loop().create_datagram_endpoint(lambda: self, sock=self._sock)

    def answers(self, name, *steps):
        """Each step: the addresses said at that lookup; A and AAAA walk the steps separately."""
        steps = [[step] if isinstance(step, str) else list(step) for step in steps]
        self._scripts[name] = {kind: [steps, 0] for kind in TYPES}

    def lookups(self, name):
        """How often its A was asked."""
        return self.asked.count((name, 1))

    def connection_made(self, transport):
        self._transport = transport

    def datagram_received(self, data, sender):
        """Who waits too long for an answer asks the same once more: that is no lookup of its own."""
        asked = (sender, data)
        if asked not in self._said:
            self._said[asked] = self._answer(data)
        if self._said[asked]:
            self._transport.sendto(self._said[asked], sender)

    def _answer(self, data):
        ident, flags, questions = struct.unpack("!HHH", data[:6])
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode("latin-1"))
            at += 1 + data[at]
        kind = struct.unpack("!H", data[at + 1 : at + 3])[0]
        name = ".".join(labels).lower()
        question = data[12 : at + 5]
        self.asked.append((name, kind))
        if name in self.silent:
            return None
        known = name in self._scripts
        said = self._step(name, kind) if known else []
        answers = [self._record(kind, address) for address in said]
        code = 0 if known else 3  # NXDOMAIN
        head = struct.pack("!HHHHHH", ident, 0x8580 | (flags & 0x100) | code, 1, len(answers), 0, 0)
        return head + question + b"".join(answers)

    def _step(self, name, kind):
        if kind not in TYPES:
            return []
        script = self._scripts[name][kind]
        step = script[0][min(script[1], len(script[0]) - 1)]
        script[1] += 1
        parsed = [ipaddress.ip_address(address) for address in step]
        return [address for address in parsed if address.version == TYPES[kind]]

    def _record(self, kind, address):
        # 0xc00c: the name of the question
        head = struct.pack("!HHHIH", 0xC00C, kind, 1, self.ttl, len(address.packed))
        return head + address.packed

    def close(self):
        stage.call(self._transport.close)
