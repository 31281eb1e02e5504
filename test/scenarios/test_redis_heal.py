"""
A Redis connection heals without a restart: whatever ends it, it works again at most two seconds after
Redis answers PONG, idle or busy. redis_probe is the three connections of a worker and nothing else.
"""
import os
import signal
import time

import pytest

from peers import patience, stage
from peers.pipeline import BIN, SANITIZERS
from peers.process import Process
from peers.redis import Redis, RedisError

PROBE = os.path.join(os.path.dirname(BIN), "peers", "redis_probe")
HEALED = 2.0  # seconds after PONG
DEADLINE = 2.0  # of a call
BELL_DEADLINE = 4.0  # of the blocking one
BUSY, IDLE = 50, 0  # ms between two calls; 0: none but those a test asks for
LINKS = ("commands", "bell", "tail")


def now():
    return time.monotonic() * 1000


class Probe(Process):
    def __init__(self, name, url, period, folder, **env):
        super().__init__(name, [PROBE, url, str(period)], folder, env={**os.environ, **SANITIZERS, **env})

    def told(self, link, event, since=0.0):
        wanted = (link, event)
        return [one for one in self.events() if (one["link"], one["event"]) == wanted and one["at"] >= int(since)]

    def wait_for(self, link, event, since=0.0, timeout=None):
        found = lambda: self.told(link, event, since)
        return patience.until(found, lambda: f"{link} {event}\n{self.story()}", timeout)[0]

    def ask(self):
        self.signal(signal.SIGUSR1)

    def up(self):
        for link in LINKS:
            self.wait_for(link, "ready")
        self.wait_for("tail", "heard")
        return self

    def answers(self):
        """Asks until it is answered: when."""
        since = now()

        def asked():
            self.ask()
            return self.told("commands", "answered", since)

        return patience.until(asked, self.story)[0]["at"]

    def heals(self, broken, links=LINKS):
        """What broke at `broken` works again no later than promised; Redis has just said PONG."""
        pong = now()
        for link in links:
            late = self.wait_for(link, "ready", broken)["at"] - pong
            assert late <= patience.bound(HEALED) * 1000, f"{link} came back after {late:.0f} ms\n{self.story()}"
        late = self.answers() - pong
        assert late <= patience.bound(HEALED) * 1000, f"answered after {late:.0f} ms\n{self.story()}"

    def leaves(self):
        """Asked to go it does, and has left nothing open behind."""
        assert self.end() == 0, self.story()


@pytest.fixture
def probe(cast, tmp_path):
    """probe(url, period): one that is up; it leaves cleanly."""
    assert os.path.exists(PROBE), f"{PROBE} is not built"
    started = []

    def start(url, period=BUSY, up=True, **env):
        started.append(cast(Probe(f"probe-{len(started)}", url, period, str(tmp_path), **env)))
        started[-1].launch()
        return started[-1].up() if up else started[-1]

    yield start
    for one in started:
        one.leaves()
        assert not one.troubles()


@pytest.fixture(params=["unix", "tcp"])
def wire(request, redis, proxy):
    """A proxy to the redis of the test, on either kind of socket."""
    return proxy(redis.path, unix=request.param == "unix")


periods = pytest.mark.parametrize("period", [BUSY, IDLE], ids=["busy", "idle"])


@periods
@pytest.mark.parametrize("end", ["term", "kill"])
def test_after_a_restart(redis, probe, end, period):
    running = probe(redis.url, period)
    first = running.told("commands", "ready")[0]["text"]
    broken = now()
    getattr(redis, end)()
    redis.restart()
    running.heals(broken)
    assert running.told("commands", "ready")[-1]["text"] != first, "another run has another name"


def test_every_time(redis, probe):
    running = probe(redis.url)
    for _ in range(5):
        broken = now()
        redis.restart()
        running.heals(broken)


@periods
def test_after_a_stop_longer_than_every_deadline(redis, probe, period):
    running = probe(redis.url, period)
    redis.stop()
    running.ask()
    stopped = now()
    for link, bound in ("commands", DEADLINE), ("bell", BELL_DEADLINE), ("tail", 2 * DEADLINE):
        late = running.wait_for(link, "lost", stopped)["at"] - stopped
        assert late <= patience.bound(bound + 0.5) * 1000, f"{link} noticed after {late:.0f} ms"
    redis.cont()
    redis.wait_up()
    running.heals(stopped)


def test_after_a_stop_shorter_than_every_deadline_nothing_was_lost(redis, probe):
    running = probe(redis.url)
    redis.stop()
    stopped = now()
    running.ask()
    patience.until(lambda: now() - stopped > 300, "0.3 s")
    redis.cont()
    running.answers()
    assert not any(running.told(link, "lost") for link in LINKS)


def test_the_probe_itself_may_have_been_stopped(redis, probe):
    running = probe(redis.url)
    running.stop()
    stopped = now()
    patience.until(lambda: now() - stopped > 1000 * (BELL_DEADLINE + 0.5), "the deadlines")
    running.cont()
    running.answers()
    assert not any(running.told(link, "lost") for link in LINKS), "the answers were there"


def test_while_redis_loads_its_data(cast, tmp_path, probe):
    # 50 ms a key and a look at its clients after each
    slow = {"key_load_delay": "50000", "loading_process_events_interval_bytes": "1024"}
    redis = cast(Redis(str(tmp_path), **slow)).start()
    for number in range(40):
        redis.call("SET", f"key {number}", "x" * 2000)
    redis.call("BGREWRITEAOF")
    patience.until(lambda: redis.info("persistence")["aof_rewrite_in_progress"] == "0", "the rewrite")
    running = probe(redis.url)
    broken = now()
    redis.kill()
    redis.process.launch()

    def loads():
        try:
            redis.call("PING")
        except OSError:
            return False
        except RedisError as error:
            return "LOADING" in str(error)

    patience.until(loads, "LOADING")
    newcomer = probe(redis.url, up=False)
    assert "loading" in newcomer.wait_for("commands", "lost")["text"]
    redis.wait_up()
    running.heals(broken)
    newcomer.heals(broken)


@periods
def test_after_its_clients_were_killed(redis, probe, period):
    running = probe(redis.url, period)
    broken = now()
    for kind in "normal", "pubsub":
        redis.call("CLIENT", "KILL", "TYPE", kind)
    running.heals(broken)


def test_scripts_and_data_may_go(redis, probe):
    running = probe(redis.url)
    running.answers()
    for what in ("SCRIPT", "FLUSH"), ("FLUSHALL",):
        redis.call(*what)
        running.answers()
    assert not running.told("commands", "refused"), "NOSCRIPT is nobody's business"
    assert not any(running.told(link, "lost") for link in LINKS)


def test_after_redis_was_a_replica(redis, probe):
    running = probe(redis.url)
    redis.call("REPLICAOF", "127.0.0.1", "1")
    assert running.wait_for("commands", "refused")["text"].startswith("READONLY")
    running.wait_for("commands", "lost")
    redis.call("REPLICAOF", "NO", "ONE")
    running.heals(now(), links=())


def test_after_a_link_went_half_open(wire, probe):
    running = probe(wire.redis_url)
    frozen = now()
    wire.freeze()
    for link, bound in ("commands", DEADLINE), ("bell", BELL_DEADLINE), ("tail", 2 * DEADLINE):
        late = running.wait_for(link, "lost", frozen)["at"] - frozen
        assert late <= patience.bound(bound + 0.5) * 1000, f"{link} noticed after {late:.0f} ms"
    wire.thaw()
    running.heals(frozen)


def test_after_a_link_that_carries_a_byte_a_second(wire, probe):
    running = probe(wire.redis_url)
    slow = now()
    wire.rate = 1
    for link, bound in ("commands", DEADLINE), ("bell", BELL_DEADLINE), ("tail", 2 * DEADLINE):
        late = running.wait_for(link, "lost", slow)["at"] - slow
        assert late <= patience.bound(bound + 0.5) * 1000, f"{link} noticed after {late:.0f} ms"
    wire.rate = None
    running.heals(slow)


def test_after_a_reset_in_mid_answer(wire, probe):
    running = probe(wire.redis_url)
    for more in 37, 301, 1201:
        since = now()
        wire.cut_after = wire.bytes_up + wire.bytes_down + more
        running.wait_for("commands", "lost", since)
        wire.cut_after = None
        running.answers()
    assert running.told("commands", "failed")


def test_an_idle_one_is_quiet(redis, proxy, probe):
    wire = proxy(redis.path, unix=True)
    running = probe(wire.redis_url, IDLE)
    begun, before = now(), wire.commands
    patience.until(lambda: now() - begun > 6000, "6 s")
    assert 0 < wire.commands - before <= 6


@pytest.fixture
def sealed(cast, tmp_path, tls):
    """sealed(names…): a Redis that also speaks TLS, as these names, and where."""

    def start(*names):
        certificate, key = tls.certificate(*names)
        port = stage.free_port()
        redis = Redis(
            str(tmp_path), bind="127.0.0.1", tls_port=str(port), tls_cert_file=certificate,
            tls_key_file=key, tls_auth_clients="no",
        )
        return cast(redis).start(), port

    return start


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_over_tls_with_a_password(sealed, probe, tls, host):
    redis, port = sealed("localhost", "127.0.0.1")
    redis.call("ACL", "SETUSER", "worker", "on", ">open sesame", "~*", "&*", "+@all")
    running = probe(f"rediss://worker:open%20sesame@{host}:{port}", SSL_CERT_FILE=tls.ca_file)
    running.answers()
    broken = now()
    for kind in "normal", "pubsub":
        redis.call("CLIENT", "KILL", "TYPE", kind)
    running.heals(broken)


def test_tls_with_a_stranger_is_refused(sealed, probe):
    _, port = sealed("localhost")
    stranger = probe(f"rediss://localhost:{port}", up=False)
    assert "issuer" in stranger.wait_for("commands", "lost")["text"]


@pytest.mark.parametrize("host, fault", [("localhost", "hostname mismatch"), ("127.0.0.1", "IP address mismatch")])
def test_tls_with_another_name_is_refused(sealed, probe, tls, host, fault):
    _, port = sealed("other.example")
    stranger = probe(f"rediss://{host}:{port}", up=False, SSL_CERT_FILE=tls.ca_file)
    assert fault in stranger.wait_for("commands", "lost")["text"]


def test_a_wrong_password_is_told(redis, probe, proxy):
    wire = proxy(redis.path)
    stranger = probe(wire.redis_url.replace("//", "//worker:wrong@"), up=False)
    assert stranger.wait_for("commands", "lost")["text"].startswith("WRONGPASS")
