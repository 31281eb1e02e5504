"""
pipeline: the product itself, its three services as processes over a Redis, and what one can ask it.

    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")

The programs come from the folder FETCHBACK_BIN (build/dev/bin). Settings are given as they are
named: Pipeline(folder, LEASE="1s", consumers=2).
"""
import datetime
import http.client
import json
import os
import socket
import threading
import time

from . import patience, stage
from .heard import heard
from .process import Process
from .redis import Redis

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.abspath(os.environ.get("FETCHBACK_BIN", os.path.join(ROOT, "build", "dev", "bin")))
FINAL = ("delivered", "failed", "cancelled")
SINCE, EVENT, UNTIL = 1, 7, 14  # fields of an event's line in a record: docs/PIPELINE.md
DEFAULTS = {
    "TIME_SCALE": "1000",
    "ALLOW_NETWORKS": "127.0.0.0/8,::1/128",
    "BIND": "127.0.0.1",
    "DRAIN_TIMEOUT": "2s",  # tests leave hanging exchanges behind
}
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
    "TSAN_OPTIONS": f"exitcode=99:second_deadlock_stack=1:suppressions={ROOT}/test/tsan.supp",
}


def program(name):
    return os.path.join(BIN, name)


def sanitized():
    """Whether the programs carry a sanitizer: slower, hungrier, and to be loaded with less."""
    try:
        with open(program("fetchback-api"), "rb") as api:
            content = api.read()
    except FileNotFoundError:
        return False
    return b"__asan_init" in content or b"__tsan_init" in content


if sanitized():
    patience.STRETCH *= 3


def counted(record):
    """The attempts of a record: [("fetch", 1), …]."""
    return [(attempt["stage"], attempt["n"]) for attempt in record["attempts"]]


class Reply:
    """What the api said."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def faults(self):
        """{pointer: detail} of a problem."""
        return {fault["pointer"]: fault["detail"] for fault in self.json.get("errors", [])}

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Pipeline:
    """consumers, responders: how many of each. only: settings of one service, {"api": {…}}."""

    def __init__(self, folder, redis=None, consumers=1, responders=1, only=None, **settings):
        self.folder = str(folder)
        self.owns_redis = redis is None
        self.redis = redis or Redis(self.folder)
        self.settings = {**DEFAULTS, "REDIS_URL": self.redis.url, **settings}
        self.only = only or {}
        self.port = None
        self.api = self._service("api", "api")
        self.consumers, self.responders = [], []
        for _ in range(consumers):
            self.hire("consumer")
        for _ in range(responders):
            self.hire("responder")

    def _service(self, kind, name):
        given = {**self.settings, **self.only.get(kind, {}), **self.only.get(name, {})}
        env = {"PATH": os.environ["PATH"], "HOME": self.folder, **SANITIZERS}
        env.update({key: str(value) for key, value in given.items() if value is not None})
        return Process(name, [program(f"fetchback-{kind}")], self.folder, env, ready_fd=True)

    def hire(self, kind):
        """One more worker, not yet started."""
        staff = self.consumers if kind == "consumer" else self.responders
        staff.append(self._service(kind, f"{kind}-{len(staff)}"))
        return staff[-1]

    @property
    def consumer(self):
        return self.consumers[0]

    @property
    def responder(self):
        return self.responders[0]

    @property
    def workers(self):
        return [*self.consumers, *self.responders]

    @property
    def services(self):
        return [self.api, *self.workers]

    # -- life

    def up(self, ready=True):
        """All started and working. ready=False: the api only lives, for a Redis that it refuses."""
        if self.owns_redis and not self.redis.process.alive:
            self.redis.start()
        self.start_api(ready)
        for worker in self.workers:
            worker.env.update(self._place())
            worker.launch()
        for worker in self.workers:
            worker.wait_ready()
        if ready:
            patience.until(self.ready, lambda: f"the api to be ready: {self.get('/readyz')}")
        return self

    def _place(self):
        """Where the api is, for all: the address in a dataUrl, the port that nobody may dial."""
        return {"PORT": str(self.port), "PUBLIC_URL": self.url}

    def start_api(self, ready=True):
        """On a free port; another one if somebody was faster."""
        for _ in range(5):
            self.port = self.port or stage.free_port()
            self.api.env.update(self._place())
            self.api.launch()
            try:
                if ready:
                    return self.api.wait_ready()
                return patience.until(self.lives, "the api to live")
            except AssertionError:
                if self.api.alive or self.api.wait() != 100 or "taken" not in self.api.log():
                    raise
                self.port = None
        raise AssertionError("no port for the api")

    def lives(self):
        return self.says("/healthz", 200)

    def ready(self):
        return self.says("/readyz", 200)

    def says(self, path, status):
        try:
            return self.get(path).status == status
        except (OSError, http.client.HTTPException):
            return False

    def down(self):
        """Asks all to end, together, and waits; what they left behind is told by troubles()."""
        running = [service for service in self.services if service.alive]
        for service in running:
            service.cont()
            service.term()
        for service in running:
            service.wait(30)

    def destroy(self):
        for service in self.services:
            service.destroy()
        if self.owns_redis:
            self.redis.destroy()

    def troubles(self):
        return [trouble for service in self.services for trouble in service.troubles()]

    def forget(self):
        for process in [*self.services, self.redis.process]:
            process.forget()

    def story(self):
        return "\n\n".join(process.story() for process in [*self.services, self.redis.process])

    # -- the api

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def call(self, method, path, body=None, headers=None, timeout=30):
        patient = patience.bound(timeout)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=patient)
        try:
            connection.connect()
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
            given = {"Content-Type": "application/json"} if body is not None else {}
            try:
                connection.request(method, path, body, {**given, **(headers or {})})
            except (BrokenPipeError, ConnectionResetError):
                pass  # a body that is refused is not read to its end; the answer is there all the same
            answer = connection.getresponse()
            reply = Reply(answer.status, answer.headers, answer.read())
            heard.note(method, path, body, reply)
            return reply
        finally:
            connection.close()

    def get(self, path, **options):
        return self.call("GET", path, **options)

    def ask(self, provider, callback, /, **more):
        """Posts a request, accepted or not."""
        return self.call("POST", "/", {"provider": provider, "callbackUrl": callback, **more})

    def post(self, provider, callback, /, **more):
        """Accepted: its id."""
        reply = self.ask(provider, callback, **more)
        assert reply.status == 202, reply
        return reply.json["requestId"]

    def post_many(self, pairs, connections=8):
        """All these (provider, callback) over a few kept connections: ids in order."""
        bodies = [
            json.dumps({"provider": provider, "callbackUrl": callback}).encode()
            for provider, callback in pairs
        ]
        ids, troubles = [None] * len(bodies), []
        shares = [range(first, len(bodies), connections) for first in range(connections)]
        runners = [
            threading.Thread(target=self._post_some, args=(share, bodies, ids, troubles))
            for share in shares
        ]
        for runner in runners:
            runner.start()
        for runner in runners:
            runner.join()
        assert not troubles, troubles[:3]
        return ids

    def _post_some(self, mine, bodies, ids, troubles):
        try:
            place, patient = ("127.0.0.1", self.port), patience.bound(None)
            with socket.create_connection(place, timeout=patient) as wire:
                wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                answers = wire.makefile("rb")
                for i in mine:
                    ids[i] = self._post_one(wire, answers, bodies[i])
        except Exception as trouble:  # told by the test's own thread
            troubles.append(repr(trouble))

    def _post_one(self, wire, answers, body):
        wire.sendall(
            b"POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (self.port, len(body), body)
        )
        first, length = answers.readline(), 0
        while (line := answers.readline()) not in (b"\r\n", b""):
            if line[:15].lower() == b"content-length:":
                length = int(line[15:])
        answer = answers.read(length)
        assert b" 202 " in first, (first, answer)
        return json.loads(answer)["requestId"]

    def record(self, request):
        reply = self.get(f"/requests/{request}")
        assert reply.status == 200, reply
        return reply.json

    def state(self, request):
        return self.record(request)["state"]

    def logs(self, request):
        """Its log: one object an event."""
        reply = self.get(f"/requests/{request}/logs")
        assert reply.status == 200, reply
        return [json.loads(line) for line in reply.body.splitlines()]

    def data(self, request):
        reply = self.get(f"/requests/{request}/data")
        assert reply.status == 200, reply
        return reply.body

    def _look(self, request):
        """Its record; None when Redis did not answer the api in time, and a later look may tell more."""
        reply = self.get(f"/requests/{request}")
        assert reply.status in (200, 503), reply
        return reply.json if reply.status == 200 else None

    def wait(self, request, state, timeout=None):
        """Until it is in this state (or, if that is final, in another final one): its record."""
        enough = {state, *FINAL} if state in FINAL else {state}

        def told():
            record = self._look(request)
            return record and record["state"] in enough and record

        what = lambda: f"{request} to be {state}: {self._look(request)}"
        record = patience.until(told, what, timeout)
        assert record["state"] == state, f"{state} was wanted: {record}"
        return record

    def alter(self, request, verb, **options):
        """
        pause, cancel: the reply when its worker has let go. A worker that stands still for a second makes it a 202;
        the same call once more changes nothing then.
        """
        def told():
            begun = time.monotonic()
            reply = self.call("POST", f"/requests/{request}/{verb}", **options)
            assert reply.status != 202 or time.monotonic() - begun > 0.95, f"not waited for: {reply}"
            return reply.status != 202 and reply

        return patience.until(told, lambda: f"the worker of {request} to let go: {self._look(request)}")

    def wait_all(self, requests, state="delivered", timeout=None):
        return [self.wait(request, state, timeout) for request in requests]

    def attempts(self, request, stage_name):
        return [one for one in self.record(request)["attempts"] if one["stage"] == stage_name]

    def waits(self, request):
        """How long each wait for its next attempt was to be: seconds, by its record."""
        lines = [line.split(b"\t") for line in self.redis.call("GET", f"{{f0}}:r:{request}").split(b"\n")]
        retries = [line for line in lines if len(line) > UNTIL and line[EVENT] == b"retry"]
        return [(int(line[UNTIL]) - int(line[SINCE])) / 1000 for line in retries]

    def wait_attempts(self, request, stage_name, count, timeout=None):
        """Until so many attempts of a stage have ended: they."""
        def told():
            found = [one for one in (self._look(request) or {"attempts": []})["attempts"] if one["stage"] == stage_name]
            return len(found) >= count and found

        what = lambda: f"{count} attempts to {stage_name} {request}: {self._look(request)}"
        return patience.until(told, what, timeout)

    @staticmethod
    def seconds(text):
        """A time as records have it, as Unix time."""
        return datetime.datetime.fromisoformat(text).timestamp()
