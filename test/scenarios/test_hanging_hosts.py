"""
Hosts of which nothing good is known have half of a worker at most, of its places and of its memory:
however many of them hang, those that answer are served.
"""
import time

import pytest

from peers import patience, scripts
from peers.web import Answer, Gate
from test_doctor import diagnosis

PREFETCH, HALF = 8, 4
KIB, MIB = 1024, 1024 * 1024
QUIET = 1.5  # seconds
STAGES = ["fetch", "deliver"]


class Street:
    """Hosts that hang, as providers or as callbacks, beside one that answers."""

    def __init__(self, stage, pipeline, peer, provider, receiver, hosts, said, data=200):
        self.stage, self.pipeline = stage, pipeline
        self.good = provider, receiver
        provider.answers(data)
        self.round_trip()  # it is known to answer
        self.hosts = [peer(f"hanging {i}", said=said) for i in range(hosts)]
        self.stuck = []

    def round_trip(self):
        provider, receiver = self.good
        self.pipeline.wait(self.pipeline.post(provider.url(), receiver.url()), "delivered")

    def post(self, host):
        provider, receiver = self.good
        if self.stage == "fetch":
            provider = host
        else:
            receiver = host
        self.stuck.append(self.pipeline.post(provider.url(), receiver.url()))

    def fill(self, each):
        for host in self.hosts:
            for _ in range(each):
                self.post(host)

    @property
    def busy(self):
        return sum(host.busy for host in self.hosts)

    def hold(self, count):
        patience.until(lambda: self.busy >= count, lambda: f"{count} exchanges to hang, not {self.busy}")


@pytest.fixture(params=STAGES)
def street(request, peer, provider, receiver):
    """street(pipeline, hosts, said): of either stage."""
    return lambda pipeline, hosts, said, **more: Street(
        request.param, pipeline, peer, provider, receiver, hosts, said, **more)


def scripts_run(pipeline):
    stats = pipeline.redis.info("commandstats")["cmdstat_evalsha"]
    return int(stats.split("calls=")[1].split(",")[0])


def test_they_hold_half_of_the_places_and_cost_the_others_nothing(launch, street):
    pipeline, gate = launch(PREFETCH=PREFETCH), Gate()
    hanging = street(pipeline, hosts=10, said=Answer(hold=gate))
    hanging.fill(each=2)
    hanging.hold(HALF)
    for _ in range(20):
        hanging.round_trip()
    assert hanging.busy == HALF
    before = scripts_run(pipeline)
    time.sleep(QUIET)  # there is no event that says "nobody asks"
    asked = scripts_run(pipeline) - before
    assert asked < 10, f"{asked} scripts in {QUIET} s: what stands apart makes nobody ask in vain"
    assert diagnosis(pipeline)["lanes"] == []
    assert pipeline.get("/queues").json[{"fetch": "requests", "deliver": "responses"}[hanging.stage]]["oldest"]
    gate.open()
    pipeline.wait_all(hanging.stuck)
    assert diagnosis(pipeline)["hosts"] == []


def test_when_all_are_new_none_of_them_starves(launch, street):
    pipeline = launch(PREFETCH=2)
    new = street(pipeline, hosts=30, said=500)
    for host in new.hosts:
        host.answers(500, 200)  # what failed comes again, and proves itself
    new.fill(each=3)
    pipeline.wait_all(new.stuck)


def test_a_worker_with_one_place_takes_them_too(launch, street):
    pipeline = launch(PREFETCH=1)
    new = street(pipeline, hosts=5, said=200)
    new.fill(each=2)
    pipeline.wait_all(new.stuck)


def test_a_worker_with_room_is_told_of_what_another_passes_over(launch, street):
    """The full one goes on listening for work, and has waited longer: it hears of these first."""
    pipeline, gate = launch(PREFETCH=PREFETCH, LEASE="10m"), Gate()  # each beat would look for work too
    hanging = street(pipeline, hosts=3 * HALF, said=Answer(hold=gate))
    for number, host in enumerate(hanging.hosts, 1):
        if number == HALF + 1:
            pipeline.hire({"fetch": "consumer", "deliver": "responder"}[hanging.stage]).start()
        hanging.post(host)
        hanging.hold(min(number, 2 * HALF))
    hanging.round_trip()
    assert hanging.busy == 2 * HALF
    gate.open()
    pipeline.wait_all(hanging.stuck)


def test_a_host_that_has_proven_itself_waits_no_longer(launch, provider, receiver, peer):
    """Its lane stands apart, behind those that hang, when one of its requests comes to be served."""
    pipeline, gate, first = launch(PREFETCH=PREFETCH), Gate(), Gate()
    slow = peer("slow", said=Answer(hold=first))
    slow.answers(Answer(hold=first), 200)
    begun = pipeline.post(slow.url(), receiver.url())
    slow.holds(1)
    hanging = [peer(f"hanging {i}", said=Answer(hold=gate)) for i in range(2 * HALF)]
    stuck = [pipeline.post(host.url(), receiver.url()) for host in hanging for _ in range(2)]
    patience.until(lambda: sum(host.busy for host in hanging) == HALF - 1, "the others to hang")
    more = [pipeline.post(slow.url(), receiver.url()) for _ in range(5)]
    first.open()
    pipeline.wait_all([begun, *more])
    assert sum(host.busy for host in hanging) <= HALF
    gate.open()
    pipeline.wait_all(stuck)


MEMORY = {  # BODY_MEMORY, and an answer of a provider that fills it in a few exchanges
    "fetch": ("1MiB", Answer(body=b"x" * (300 * KIB), drip=(200 * KIB, 3600))),
    "deliver": ("6MiB", Answer(hold=Gate())),
}


@pytest.mark.parametrize("stage", STAGES)
def test_they_hold_half_of_the_body_memory(launch, stage, peer, provider, receiver):
    memory, said = MEMORY[stage]
    pipeline = launch(BODY_MEMORY=memory, LOG_LEVEL="warn")
    body = Answer(body=b'"' + b"x" * (600 * KIB) + b'"')
    hanging = Street(stage, pipeline, peer, provider, receiver, 6, said, data=body)
    hanging.fill(each=2)
    hanging.hold(2)
    pipeline.wait_all(hanging.stuck, {"fetch": "fetching", "deliver": "delivering"}[stage])
    for _ in range(3):
        hanging.round_trip()
    for worker in pipeline.workers:
        worker.kill()  # exchanges that never end need no drain


@pytest.mark.parametrize("priority", ["high", "default", "low"])
def test_what_a_full_worker_leaves_of_hosts_that_stood_apart_is_told(launch, peer, receiver, priority):
    """Two hosts stand apart; a worker takes as much as it has room for, and the bell calls another one."""
    pipeline = launch(consumers=0, responders=0)
    for host in (peer("one"), peer("two")):
        for _ in range(5):
            pipeline.post(host.url(), receiver.url(), priority=priority)
    redis = pipeline.redis
    scripts.run(redis, "register", "f", "w", 30000, "run", 1)

    def reserve(serial, unproven):
        redis.call("DEL", "{f0}:f:bell", "{f0}:f:u:bell")
        told = scripts.run(redis, "reserve", "f", "w", serial, 3, 0, 32, 0, 60000, 0, unproven)
        return (len(told) - 2) // 3, redis.call("EXISTS", "{f0}:f:bell"), redis.call("EXISTS", "{f0}:f:u:bell")

    assert reserve(1, 0) == (0, 0, 1)
    assert reserve(2, 3) == (3, 1, 0)
