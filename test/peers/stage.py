"""
stage: the one event loop that all peers of a test run play on, in a thread of its own.
"""
import asyncio
import collections
import contextlib
import os
import random
import socket
import threading

_loop = None


def loop():
    global _loop
    if _loop is None:
        _loop = asyncio.new_event_loop()
        threading.Thread(target=_loop.run_forever, name="stage", daemon=True).start()
    return _loop


def play(coroutine, timeout=30):
    """Runs it on the stage and waits, bounded, for its result."""
    return asyncio.run_coroutine_threadsafe(coroutine, loop()).result(timeout)


def call(function, *args):
    """Runs a plain function on the stage, without waiting."""
    loop().call_soon_threadsafe(function, *args)


# Below ip_local_port_range: no outgoing connection takes one of these while a peer is down, and
# none connects to itself. Test runs side by side (pytest -n) have their own part each.
RUNNER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
PORTS = range(18000 + 1750 * (RUNNER % 8), 18000 + 1750 * (RUNNER % 8 + 1))


# Lately given: nobody gets the number of somebody else's port on another address of this machine, which
# the product's own address rules would take for one.
_given = collections.deque(maxlen=len(PORTS) // 2)


def _pick():
    port = random.choice([port for port in PORTS if port not in _given])
    _given.append(port)
    return port


def bound_socket(address="127.0.0.1", kind=socket.SOCK_STREAM, port=None):
    """A socket bound to a free port (or to this one)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for _ in range(200):
        sock = socket.socket(family, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address, port or _pick()))
            return sock
        except OSError:
            sock.close()
            if port:
                raise
    raise OSError("no free port")


def free_port(address="127.0.0.1"):
    """For a program that binds by itself; who loses the race for it starts again."""
    with bound_socket(address) as sock:
        return sock.getsockname()[1]


def free_ports(count):
    """So many neighbours; the first of them."""
    for _ in range(200):
        with contextlib.ExitStack() as taken:
            first = taken.enter_context(bound_socket()).getsockname()[1]
            others = range(first + 1, first + count)
            if any(port not in PORTS or port in _given for port in others):
                continue
            try:
                for port in others:
                    taken.enter_context(bound_socket(port=port))
            except OSError:
                continue
            _given.extend(others)
            return first
    raise OSError("no free ports")


class Gate:
    """Something peers wait for until the test opens it."""

    def __init__(self):
        self._event = asyncio.Event()
        self.waiting = 0

    def open(self):
        call(self._event.set)

    async def passed(self):
        self.waiting += 1
        try:
            await self._event.wait()
        finally:
            self.waiting -= 1
