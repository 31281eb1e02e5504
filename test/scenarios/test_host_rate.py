"""A host is asked no more often than it bears: HOST_RATE, and HOSTS_FILE for named hosts."""
import os
import re
import signal
import subprocess

import pytest

from peers import patience
from peers.pipeline import program
from peers.stamps import Stamps
from peers.web import Answer, Gate

# Seconds that a worker may stand still between taking a request and sending it: the next one seems early
# then. When it came to us is the kernel's word, however late we read it.
JITTER = 0.2 * patience.STRETCH


@pytest.fixture
def stamped(cast):
    """stamped("provider", 500, 200): a host that knows when each request came."""
    return lambda name, *said: cast(Stamps(name, said or [200]))


@pytest.fixture
def provider(stamped):
    return stamped("provider")


@pytest.fixture
def receiver(stamped):
    return stamped("receiver")


def crowd(pipeline, provider, receiver, count, path="/"):
    return pipeline.post_many([(provider.url(path), receiver.url())] * count, 2)


def never_faster(arrivals, rate):
    """By arrival times, between any two of them; a tenth of a second's worth may come at once."""
    times = sorted(seen.at for seen in arrivals)
    burst = max(1, rate / 10) - 1 + rate * JITTER
    for i, earlier in enumerate(times):
        for k, later in enumerate(times[i + 1 :], 1):
            assert k <= rate * (later - earlier) + burst, f"{k + 1} in {later - earlier:.3f} s"


def took(arrivals):
    times = [seen.at for seen in arrivals]
    return max(times) - min(times)


def hosts_file(tmp_path, *lines):
    path = tmp_path / "hosts"
    path.write_text("# host limits\n" + "".join(line + "\n" for line in lines))
    return path


def host(peer):
    return f"{peer.address}:{peer.port}"


@pytest.mark.parametrize("rate", [10, 50])
def test_both_stages_keep_to_the_rate(launch, provider, receiver, rate):
    pipeline = launch(consumers=2, responders=2, HOST_RATE=rate)
    crowd(pipeline, provider, receiver, rate * 2)
    delivered = receiver.got(rate * 2)
    never_faster(provider.requests, rate)
    never_faster(delivered, rate)
    assert took(provider.requests) < 4 * patience.STRETCH, "it is no slower than it needs to be"


def test_each_host_has_its_own(launch, provider, receiver, stamped):
    pipeline, another = launch(HOST_RATE=10), stamped("another")
    pipeline.post_many([(one.url(), receiver.url()) for _ in range(30) for one in (provider, another)], 2)
    for one in (provider, another):
        arrivals = one.got(30)
        never_faster(arrivals, 10)
        assert took(arrivals) < min(5 * patience.STRETCH, 5.7), "30 at 10 a second take 2.9 s; with the other's 30, 5.8 s"


def test_retries_count_too(launch, stamped, receiver):
    pipeline = launch(HOST_RATE=10, FETCH_SCHEDULE=",".join(["1ms"] * 9))
    provider = stamped("provider", *[500] * 6, 200)
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    assert len(provider.requests) == 7
    never_faster(provider.requests, 10)


def test_without_a_rate_nothing_waits(launch, provider, receiver):
    """Nothing is due later (v), and the time shows it: at its best of three, for anybody may stand still once."""
    pipeline = launch()

    def is_quick():
        before = len(provider.requests)
        assert pipeline.call("POST", "/queues/requests/pause").status == 200
        crowd(pipeline, provider, receiver, 200)
        assert pipeline.call("POST", "/queues/requests/resume").status == 200
        receiver.got(before + 200)
        return took(provider.requests[before:]) < 2 * patience.STRETCH

    assert any(is_quick() for _ in range(3))
    for key in ("{f0}:f:h:" + host(provider), "{f0}:d:h:" + host(receiver)):
        fields = pipeline.redis.call("HKEYS", key)
        assert b"n" in fields and b"v" not in fields, (key, fields)


def test_a_named_host_has_its_own_rate(launch, provider, receiver, stamped, tmp_path):
    slow, quick = stamped("slow"), provider
    path = hosts_file(tmp_path, f"{host(slow)} rate=2.5", f"{host(quick)} rate=1000")
    pipeline = launch(HOST_RATE=10, HOSTS_FILE=path)
    crowd(pipeline, slow, receiver, 5)
    crowd(pipeline, quick, receiver, 60)
    quick.got(60)
    assert took(quick.requests) < 3 * patience.STRETCH, "60 at 10 a second would take 6 s"
    never_faster(slow.got(5), 2.5)
    receiver.got(10)
    never_faster(receiver.requests, 10)


def test_a_named_host_has_its_own_concurrency(launch, receiver, peer, tmp_path):
    gate, narrow, wide, usual = Gate(), peer("narrow"), peer("wide"), peer("usual")
    path = hosts_file(tmp_path, f"{host(narrow)} concurrency=1", f"{host(wide)} concurrency=4")
    pipeline = launch(HOST_CONCURRENCY=2, HOSTS_FILE=path)
    for one in (narrow, wide, usual):
        pipeline.wait_all([pipeline.post(one.url("/warm"), receiver.url()) for _ in range(6)])
        one.answers(Answer(hold=gate), path="/held")
        crowd(pipeline, one, receiver, 8, "/held")
    for one, slots in ((narrow, 1), (wide, 4), (usual, 2)):
        one.holds(slots)
        assert one.busiest == slots
    gate.open()
    receiver.got(42)
    assert (narrow.busiest, wide.busiest, usual.busiest) == (1, 4, 2)


def test_limits_are_read_anew(launch, provider, receiver, tmp_path):
    path = hosts_file(tmp_path, f"{host(provider)} rate=2")
    pipeline = launch(HOSTS_FILE=path)
    crowd(pipeline, provider, receiver, 40)
    never_faster(provider.got(4), 2)
    path.write_text(f"{host(provider)} rate=nonsense\n")
    pipeline.consumer.signal(signal.SIGHUP)
    pipeline.consumer.wait_said("hosts_refused")
    assert "line 1" in pipeline.consumer.log()
    never_faster(provider.got(len(provider.requests) + 2), 2)
    hosts_file(tmp_path)
    pipeline.consumer.signal(signal.SIGHUP)
    receiver.got(40, timeout=10)
    assert took(provider.requests) < 10 * patience.STRETCH, "40 at 2 a second would take 20 s"


@pytest.mark.parametrize("text", [None, "a.example rate=0\n", "http://a.example/ rate=1\n"])
def test_a_wrong_file_stops_the_start(programs, redis, tmp_path, text):
    path = tmp_path / "wrong"
    if text is not None:
        path.write_text(text)
    env = {"PATH": os.environ["PATH"], "REDIS_URL": redis.url, "HOSTS_FILE": str(path)}
    for service in ("consumer", "responder"):
        run = subprocess.run(
            [program(f"fetchback-{service}")], env=env, capture_output=True, text=True,
            timeout=patience.bound(None),
        )
        assert run.returncode == 100 and run.stdout == "", run
        assert re.fullmatch(r"HOSTS_FILE: (line 1: |can't read ).+\.\n", run.stderr), run
