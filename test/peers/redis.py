"""
redis: a real redis-server of one's own on a unix socket, with the durable configuration that the
product ships, and a client small enough to read.
"""
import os
import shutil
import socket
import tempfile

from . import patience
from .process import Process

CONFIG = os.path.join(os.path.dirname(__file__), "..", "..", "config", "redis.conf")


class RedisError(Exception):
    pass


class Client:
    """One connection, one command at a time."""

    def __init__(self, path, timeout=10):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(patience.bound(timeout))
        self._socket.connect(path)
        self._input = self._socket.makefile("rb")

    def call(self, *words):
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        bulks = [b"$%d\r\n%s\r\n" % (len(part), part) for part in parts]
        self._socket.sendall(b"*%d\r\n" % len(parts) + b"".join(bulks))
        return self._reply()

    def _reply(self):
        line = self._input.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if int(rest) < 0 else self._input.read(int(rest) + 2)[:-2]
        return None if int(rest) < 0 else [self._reply() for _ in range(int(rest))]

    def close(self):
        self._input.close()
        self._socket.close()


class Redis:
    def __init__(self, folder, name="redis", **config):
        self.folder = folder
        # A socket's path may have 107 bytes; a test's folder has more.
        self._short = tempfile.mkdtemp(prefix="fb-")
        self.path = os.path.join(self._short, "redis.sock")
        self.url = f"unix:{self.path}"
        data = os.path.join(folder, f"{name}-data")
        os.makedirs(data, exist_ok=True)
        argv = ["redis-server", os.path.abspath(CONFIG), "--port", "0"]
        argv += ["--unixsocket", self.path, "--dir", data]
        for key, value in {"maxmemory": "512mb", **config}.items():
            argv += [f"--{key.replace('_', '-')}", *([value] if isinstance(value, str) else value)]
        self.process = Process(name, argv, folder)

    def start(self):
        self.process.launch()
        self.wait_up()
        return self

    def wait_up(self, timeout=None):
        """Until it answers PONG, its data loaded."""
        patience.until(self._answers, "redis does not answer", timeout)

    def _answers(self):
        if not self.process.alive:
            raise AssertionError(f"redis ended:\n{self.process.story()}")
        try:
            return self.call("PING") == "PONG"
        except (OSError, RedisError):
            return False

    def call(self, *words):
        client = Client(self.path)
        try:
            return client.call(*words)
        finally:
            client.close()

    def info(self, section="all"):
        lines = self.call("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def kill(self):
        self.process.kill()

    def restart(self):
        self.process.destroy()
        return self.start()

    def term(self):
        """SHUTDOWN the polite way, waited for."""
        self.process.term()
        return self.process.wait()

    def stop(self):
        self.process.stop()

    def cont(self):
        self.process.cont()

    def destroy(self):
        self.process.destroy()
        shutil.rmtree(self._short, ignore_errors=True)

    def story(self):
        return self.process.story()
