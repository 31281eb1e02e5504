"""
A Redis connection heals without a restart: whatever ends it, it works again at most two seconds after
Redis answers PONG, idle or busy. redis_probe is the three connections of a worker and nothing else.
"""
import os
import signal
import time

import pytest

from peers import patience, rounds, stage
from peers.pipeline import BIN, SANITIZERS
from peers.process import Process
from peers.redis import Redis, RedisError

PROBE = os.path.join(os.path.dirname(BIN), "peers", "redis_probe")
HEALED = 2.0  # seconds after PONG
DEADLINE = 2.0  # of a call
BELL_DEADLINE = 4.0  # of the blocking one
BUSY, IDLE = 50, 0  # ms between two calls; 0: none but those a test asks for
LINKS = ("commands", "bell", "tail")
NOTICED = {"commands": DEADLINE, "bell": BELL_DEADLINE, "tail": 2 * DEADLINE}  # a silence, by each link


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

    def notices(self, since):
        """Each link notices that nothing has come since then: what, after how many seconds, and the bound."""
        noticed = {link: self.wait_for(link, "lost", since)["at"] for link in LINKS}
        return [(f"{link} noticed", (noticed[link] - since) / 1000, NOTICED[link] + 0.5) for link in LINKS]

    def comes_back(self, broken, pong, links):
        """What broke at `broken` works again: the same of its links and of a call."""
        ready = {f"{link} back": self.wait_for(link, "ready", broken)["at"] for link in links}
        at = {**ready, "answered": self.answers()}
        return [(what, (at[what] - pong) / 1000, HEALED) for what in at]

    def heals(self, outage, links=LINKS, others=()):
        """
        What outage() breaks, here and at others, works again no later than promised after its end, when Redis
        has just said PONG. It may have measured something itself, as notices() does.
        """
        def play():
            broken = now()
            found = outage() or []
            pong = now()
            for one in (self, *others):
                found += one.comes_back(broken, pong, links)
            # judged when all have come back: what is still under way would count for the next round
            for what, took, bound in found:
                rounds.in_time(took, patience.bound(bound), what)

        rounds.best_of_three(play)

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


def loses_nothing(probe, redis, scene):
    """
    A probe that lives through scene(probe) has lost no link. If one is lost and it took longer than a deadline
    allows, Redis itself may have been silent for so long. scene() gives what of it, in ms, was no silence of Redis.
    """
    def play():
        begun = now()
        running = probe(redis.url)
        rest = scene(running) or 0
        running.answers()
        lost = any(running.told(link, "lost") for link in LINKS)
        if lost:
            rounds.in_time((now() - begun - rest) / 1000, DEADLINE - 0.5, "lost a link, and over")
        assert not lost, running.story()

    rounds.best_of_three(play)


def restart(redis, end="kill"):
    getattr(redis, end)()
    redis.restart()


def kill_clients(redis):
    for kind in "normal", "pubsub":
        redis.call("CLIENT", "KILL", "TYPE", kind)


periods = pytest.mark.parametrize("period", [BUSY, IDLE], ids=["busy", "idle"])


@periods
@pytest.mark.parametrize("end", ["term", "kill"])
def test_after_a_restart(redis, probe, end, period):
    running = probe(redis.url, period)
    first = running.told("commands", "ready")[0]["text"]
    running.heals(lambda: restart(redis, end))
    assert running.told("commands", "ready")[-1]["text"] != first, "another run has another name"


def test_every_time(redis, probe):
    running = probe(redis.url)
    for _ in range(5):
        running.heals(lambda: restart(redis))


@periods
def test_after_a_stop_longer_than_every_deadline(redis, probe, period):
    running = probe(redis.url, period)

    def stop():
        redis.stop()
        running.ask()
        noticed = running.notices(now())
        redis.cont()
        redis.wait_up()
        return noticed

    running.heals(stop)


def test_after_a_stop_shorter_than_every_deadline_nothing_was_lost(redis, probe):
    def scene(running):
        redis.stop()
        stopped = now()
        running.ask()
        patience.until(lambda: now() - stopped > 300, "0.3 s")
        redis.cont()

    loses_nothing(probe, redis, scene)


def test_the_probe_itself_may_have_been_stopped(redis, probe):
    def scene(running):
        running.stop()
        stopped = now()
        patience.until(lambda: now() - stopped > 1000 * (BELL_DEADLINE + 0.5), "the deadlines")
        redis.call("PING")  # it has answered before that whatever was due: the answers are there
        running.cont()
        return now() - stopped

    loses_nothing(probe, redis, scene)


def test_while_redis_loads_its_data(cast, tmp_path, probe):
    # 50 ms a key and a look at its clients after each: 10 s, unless it is told to make haste
    slow = {"key_load_delay": "50000", "loading_process_events_interval_bytes": "1024", "rdbcompression": "no"}
    redis = cast(Redis(str(tmp_path), **slow)).start()
    for number in range(200):
        redis.call("SET", f"key {number}", "x" * 2000)
    redis.call("BGREWRITEAOF")
    patience.until(lambda: redis.info("persistence")["aof_rewrite_in_progress"] == "0", "the rewrite")
    running, newcomers = probe(redis.url), []

    def loads():
        try:
            redis.call("PING")
        except OSError:
            return False
        except RedisError as error:
            return "LOADING" in str(error)

    def load():
        redis.kill()
        redis.process.launch()
        patience.until(loads, "LOADING")
        newcomers[:] = [probe(redis.url, up=False)]
        assert "loading" in newcomers[0].wait_for("commands", "lost")["text"]
        redis.call("CONFIG", "SET", "key-load-delay", "0")
        redis.wait_up()

    running.heals(load, others=newcomers)


@periods
def test_after_its_clients_were_killed(redis, probe, period):
    probe(redis.url, period).heals(lambda: kill_clients(redis))


def test_scripts_and_data_may_go(redis, probe):
    def scene(running):
        running.answers()
        for what in ("SCRIPT", "FLUSH"), ("FLUSHALL",):
            redis.call(*what)
            running.answers()
        assert not running.told("commands", "refused"), "NOSCRIPT is nobody's business"

    loses_nothing(probe, redis, scene)


def test_after_redis_was_a_replica(redis, probe):
    running = probe(redis.url)

    def serve_another():
        since = now()
        redis.call("REPLICAOF", "127.0.0.1", "1")
        assert running.wait_for("commands", "refused", since)["text"].startswith("READONLY")
        running.wait_for("commands", "lost", since)
        redis.call("REPLICAOF", "NO", "ONE")

    running.heals(serve_another, links=())


def test_after_a_link_went_half_open(wire, probe):
    running = probe(wire.redis_url)

    def freeze():
        frozen = now()
        wire.freeze()
        noticed = running.notices(frozen)
        wire.thaw()
        return noticed

    running.heals(freeze)


def test_after_a_link_that_carries_a_byte_a_second(wire, probe):
    running = probe(wire.redis_url)

    def slow_down():
        slow, wire.rate = now(), 1
        noticed = running.notices(slow)
        wire.rate = None
        return noticed

    running.heals(slow_down)


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
    sent = wire.commands - before
    assert 0 < sent <= (now() - begun) / 1000


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


def why_refused(probe, url, **env):
    """Only the first reason is told. Another stranger asks when it is that a handshake took two seconds."""
    def play():
        why = probe(url, up=False, **env).wait_for("commands", "lost")["text"]
        if "takes too long" in why:
            raise rounds.Late(why)
        return why

    return rounds.best_of_three(play)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_over_tls_with_a_password(sealed, probe, tls, host):
    redis, port = sealed("localhost", "127.0.0.1")
    redis.call("ACL", "SETUSER", "worker", "on", ">open sesame", "~*", "&*", "+@all")
    running = probe(f"rediss://worker:open%20sesame@{host}:{port}", SSL_CERT_FILE=tls.ca_file)
    running.answers()
    running.heals(lambda: kill_clients(redis))


def test_tls_with_a_stranger_is_refused(sealed, probe):
    _, port = sealed("localhost")
    assert "issuer" in why_refused(probe, f"rediss://localhost:{port}")


@pytest.mark.parametrize("host, fault", [("localhost", "hostname mismatch"), ("127.0.0.1", "IP address mismatch")])
def test_tls_with_another_name_is_refused(sealed, probe, tls, host, fault):
    _, port = sealed("other.example")
    assert fault in why_refused(probe, f"rediss://{host}:{port}", SSL_CERT_FILE=tls.ca_file)


def test_a_wrong_password_is_told(redis, probe, proxy):
    wire = proxy(redis.path)
    stranger = probe(wire.redis_url.replace("//", "//worker:wrong@"), up=False)
    assert stranger.wait_for("commands", "lost")["text"].startswith("WRONGPASS")
