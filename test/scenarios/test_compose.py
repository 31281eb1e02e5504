"""Containers: docker compose up, with a real engine; scaled, killed, restarted; nothing lost."""
import json
import os
import re
import subprocess

import pytest

from peers import loud, patience, pipeline as product
from peers.compose import SERVICES, Absent, Engine, Stack
from peers.web import Answer, Gate, Peer

HOST = "host.docker.internal"  # this machine, as a container sees it
CONSUMERS = 4
PREFETCH = 4  # so that no worker alone can hold what four are to share
NEW_HOST_SLOTS = 2
SET_BY_COMPOSE = {"BIND", "PORT", "METRICS_PORT"}  # a container's own business


@pytest.fixture(scope="module")
def engine():
    if product.sanitized():
        loud.skip("the images are the same whatever the tests' own build: left to the plain one")
    try:
        found = Engine()
    except Absent as reason:
        loud.skip(str(reason))
    yield found
    found.close()


@pytest.fixture(scope="module")
def built(engine, tmp_path_factory):
    stack = Stack(
        engine, tmp_path_factory.mktemp("compose"), ALLOW_HOSTS=HOST, PREFETCH=PREFETCH, LEASE="2s",
        FETCH_SCHEDULE="1s", CALLBACK_SCHEDULE="1s", REDIS_MEMORY="2GiB",
    )
    try:
        stack.build()
        stack.up()
        yield stack
    finally:
        stack.destroy()


@pytest.fixture
def stack(request, cast, built):
    """One of everything, all of it working."""
    cast(type("Teller", (), {"story": lambda self: built.story()})())
    return built.up("--scale", "consumer=1")


@pytest.fixture
def host(cast):
    """host(): a peer on this machine that containers reach."""
    def enter(*args, **options):
        peer = cast(Peer(*args, address="0.0.0.0", **options))
        peer.at_host = lambda path="/": peer.url(path, host=HOST)
        return peer

    return enter


@pytest.fixture
def provider(host):
    return host("provider")


@pytest.fixture
def receiver(host):
    return host("receiver")


def test_every_setting_reaches_the_services(programs):
    """A container has no flags: what docker-compose.yml does not pass on can't be set."""
    with open(os.path.join(product.ROOT, "docker-compose.yml")) as file:
        passed = set(re.findall(r"^  ([A-Z_]+):", file.read(), re.MULTILINE))
    known = set()
    for service in ("api", "consumer", "responder"):
        told = subprocess.run([product.program(f"fetchback-{service}"), "--check"], capture_output=True, text=True, timeout=20)
        known |= {line.partition("=")[0] for line in told.stdout.splitlines()}
    missing, strange = known - SET_BY_COMPOSE - passed, passed - known - {f"{name}_FILE" for name in known}
    assert not missing and not strange, f"x-settings of docker-compose.yml lacks {missing}, passes on {strange} in vain"


SPELLINGS = ["2GiB", "2gib", "2GB", "2gb", "1TiB", "64MiB", "64mb", "20000KiB", "20000000kB", "17000000B", "17000000",
             "0064MiB", "00017000000", "0", "", "GiB", "2G", "2 GiB", " 2GiB", "-1GiB", "2.5GiB", "1e9", "0x40000000",
             "2GiBs", "99999999999999999999", "9999999999TiB"]
SIZES = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def size_elsewhere(spelling):
    """What a service makes of it: bytes, or None."""
    told = subprocess.run([product.program("fetchback-consumer"), "--check"], capture_output=True, text=True, timeout=20,
                          env={**product.SANITIZERS, "RETENTION_MEMORY": spelling})
    if told.returncode != 0:
        return None
    number, unit = re.search(r"^RETENTION_MEMORY=(\d+)(\w*)$", told.stdout, re.MULTILINE).groups()
    return int(number) * SIZES[unit]


def size_of_redis(folder, spelling):
    """What the container's Redis would be told: bytes, or None."""
    stand_in = folder / "redis-server"
    stand_in.write_text('#!/bin/sh\nwhile [ "$1" != --maxmemory ]; do shift; done\necho "$2"\n')
    stand_in.chmod(0o755)
    env = {"PATH": f"{folder}:{os.environ['PATH']}", "REDIS_MEMORY": spelling}
    told = subprocess.run(["sh", f"{product.ROOT}/docker/redis.sh"], capture_output=True, text=True, timeout=20, env=env)
    if told.returncode == 0:
        return int(told.stdout)
    assert told.returncode == 100 and told.stderr.startswith("REDIS_MEMORY: "), told
    return None


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_size_is_read_as_everywhere(programs, tmp_path, spelling):
    wanted = 1 << 30 if spelling == "" else size_elsewhere(spelling)  # "": the default
    assert size_of_redis(tmp_path, spelling) == (wanted or None)  # 0 is too little for a Redis


@pytest.mark.parametrize("spelling, bytes", [("16MiB", 1 << 24), ("16777215", None), ("1024TiB", 1 << 50), ("1025TiB", None)])
def test_the_size_of_redis_has_its_limits(tmp_path, spelling, bytes):
    """Those of `fetchback up`, as docs/SETTINGS.md has them."""
    with open(os.path.join(product.ROOT, "docs", "SETTINGS.md")) as page:
        assert "| `REDIS_MEMORY` | `1GiB` | a size from 16MiB to 1024TiB |" in page.read()
    assert size_of_redis(tmp_path, spelling) == bytes


@pytest.mark.long
def test_two_urls_in_and_the_callback_arrives(stack, provider, receiver):
    provider.answers({"report": 7})
    request = stack.post(provider.at_host("/report"), receiver.at_host("/hook"))
    (delivery,) = receiver.got(1)
    assert delivery.json == {"requestId": request, "data": {"report": 7}}
    stack.wait(request, "delivered")
    lines = lambda: [line for line in stack.output().splitlines() if request in line]
    told = lambda: {json.loads(line[line.index("{"):])["service"] for line in lines()}
    patience.until(lambda: told() == {"api", "consumer", "responder"}, lambda: f"all three to tell of it: {lines()}")


@pytest.mark.long
def test_the_env_file_counts(stack, host, provider, receiver):
    """FETCH_SCHEDULE, ALLOW_HOSTS and REDIS_MEMORY of .env; nothing else that is private is reached, no neighbour either."""
    def waited(provider):
        """Seconds between its two fetches; one host each, for what is known of one may delay it."""
        provider.answers(503, 200)
        stack.wait(stack.post(provider.at_host(), receiver.at_host()), "delivered")
        return provider.requests[1].at - provider.requests[0].at

    assert any(waited(one) < 4 for one in (provider, host("second"), host("third")))  # 5 s without .env
    assert str(2 << 30) in stack.does("exec", "-T", "redis", "redis-cli", "config", "get", "maxmemory").split()
    refused = stack.call("POST", "/", {"provider": provider.url(host=stack.gateway()), "callbackUrl": receiver.at_host()})
    assert refused.status == 422 and "address_blocked" in refused.faults["/provider"]
    for neighbour in ("http://redis:6379/", "http://api:3001/healthz", "http://responder:9464/metrics"):
        blocked = stack.post(neighbour, receiver.at_host())
        assert stack.wait(blocked, "failed")["error"]["code"] == "address_blocked"


@pytest.mark.long
def test_containers_may_do_nothing_but_their_work(stack):
    published = {}
    for service in SERVICES:
        (container,) = stack.containers(service)
        with open(f"/proc/{stack.pid(container)}/status") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        assert status["Uid"].split() == ["10001"] * 4 and status["Gid"].split() == ["10001"] * 4
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
        assert stack.compose("exec", "-T", service, "touch", "/tmp/a-file").returncode != 0
        ports = stack.inspect(container)["NetworkSettings"]["Ports"] or {}
        published[service] = {place["HostIp"] for places in ports.values() for place in places or []}
    assert published == {"redis": set(), "api": {"127.0.0.1"}, "consumer": set(), "responder": set()}


@pytest.mark.long
def test_health_is_told_and_true(stack):
    patience.until(stack.healthy, stack.story, 60)
    for service in ("api", "consumer", "responder"):
        assert stack.does("exec", "-T", service, "fetchback", "health").startswith("ready")
    stack.does("stop", "redis")
    try:
        for service in ("api", "consumer", "responder"):
            ill = lambda: stack.compose("exec", "-T", service, "fetchback", "health").returncode == 1
            patience.until(ill, lambda: f"{service} to be ill without Redis")
    finally:
        stack.does("start", "redis")
    patience.until(stack.ready, stack.story)


@pytest.mark.long
def test_the_command_asks_the_api_next_door(stack, provider, receiver):
    sent = json.loads(stack.does("run", "--rm", "fetchback", "send", provider.at_host(), receiver.at_host(), "--json"))
    stack.wait(sent["requestId"], "delivered")
    told = stack.does("run", "--rm", "fetchback", "status", sent["requestId"])
    assert re.search(r"state +delivered", told)


@pytest.mark.long
def test_four_consumers_share_the_work(stack, host, receiver):
    stack.up("--scale", f"consumer={CONSUMERS}")
    assert len(stack.containers("consumer")) == CONSUMERS
    gate, wanted = Gate(), CONSUMERS * PREFETCH // 2  # hosts of which nothing good is known get half
    providers = [host(f"provider-{i}") for i in range(wanted // NEW_HOST_SLOTS)]
    for one in providers:
        one.answers(Answer(hold=gate))
    requests = [stack.post(one.at_host(), receiver.at_host()) for one in providers for _ in range(NEW_HOST_SLOTS)]
    busy = lambda: sum(one.busy for one in providers)
    patience.until(lambda: busy() == wanted, lambda: f"{wanted} fetches at once: {busy()}\n{stack.story()}")
    gate.open()
    stack.wait_all(requests)
    assert sorted(seen.id for seen in receiver.requests) == sorted(requests)


@pytest.mark.long
def test_killed_containers_come_back_and_nothing_is_lost(stack, host, receiver):
    gate = Gate()
    slow = host("slow", said=Answer(hold=gate))
    requests = [stack.post(slow.at_host(), receiver.at_host()) for _ in range(2 * PREFETCH)]
    slow.got(NEW_HOST_SLOTS)
    for service in ("consumer", "redis", "responder", "api"):
        stack.crash(*stack.containers(service))
    patience.until(stack.ready, stack.story)
    gate.open()
    stack.wait_all(requests, timeout=60)
    assert {seen.id for seen in receiver.requests} == set(requests)


@pytest.mark.long
def test_down_and_up_again_keeps_the_data(stack, provider, receiver):
    provider.answers({"kept": True})
    old = stack.post(provider.at_host(), receiver.at_host())
    stack.wait(old, "delivered")
    record, data = stack.record(old), stack.data(old)
    receiver.answers(503)
    owed = stack.post(provider.at_host(), receiver.at_host(), callback={"retries": 20})
    receiver.got(2)
    stack.down()
    assert not stack.containers("redis")
    receiver.answers(200)
    stack.up()
    assert (stack.record(old), stack.data(old)) == (record, data)
    stack.wait(owed, "delivered")
