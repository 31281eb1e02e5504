"""When a retry comes: on its schedule, never early, and later when the other side asked for it."""
import email.utils
import time

import pytest

from peers import patience
from peers.web import Answer

FETCH = [5, 30, 120, 600, 1800, 3600]  # seconds
DELIVER = [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
CLOCK = 0.002  # Redis and we read our clocks in whole milliseconds
LATE = 0.5  # what a busy machine may add to any wait
ROUNDS = 3


def gaps(requests):
    return [later.at - earlier.answered for earlier, later in zip(requests, requests[1:])]


def kept(rounds, wanted, early=CLOCK):
    """
    No gap of a round is too short. One is too long where a machine stands still, but no step is in every round:
    the shortest of each, of as many rounds as that took.
    """
    played = []
    for found in rounds:
        assert len(found) == len(wanted), found
        assert all(gap >= want - early for gap, want in zip(found, wanted)), (found, wanted)
        played.append(found)
        shortest = [min(step) for step in zip(*played)]
        if all(gap <= want * 1.1 + LATE * patience.STRETCH for gap, want in zip(shortest, wanted)):
            return shortest
    raise AssertionError((played, wanted))


def retried(pipeline, host, answer, urls):
    """Rounds of a request whose host says this once, then 200."""
    for i in range(ROUNDS):
        url = host.serves(f"/{i}", answer, 200)
        pipeline.wait(pipeline.post(*urls(url)), "delivered")
        yield gaps(host.at(f"/{i}"))


@pytest.mark.long
def test_both_default_schedules_are_kept(launch, provider, receiver, peer):
    """The rounds overlap, but no step comes in all at once: one begins when the last has made seven deliveries."""
    scale = 40000
    pipeline, rounds = launch(TIME_SCALE=scale), []
    for _ in range(ROUNDS):
        failing, refusing = peer("failing", said=503), peer("refusing", said=500)
        never_fetched = pipeline.post(failing.url(), receiver.url())
        never_delivered = pipeline.post(provider.url(), refusing.url())
        rounds.append((failing, never_fetched, refusing, never_delivered))
        refusing.got(7)
    wanted = [seconds / scale for seconds in FETCH + DELIVER]
    for _, never_fetched, _, never_delivered in rounds:
        pipeline.wait(never_fetched, "failed")
        pipeline.wait(never_delivered, "failed", timeout=60)
        plan = pipeline.waits(never_fetched) + pipeline.waits(never_delivered)
        assert len(plan) == len(wanted)
        assert all(want <= wait <= want * 1.1 + 0.001 for wait, want in zip(plan, wanted)), (plan, wanted)
    told = [(gaps(failing.requests), gaps(refusing.requests)) for failing, _, refusing, _ in rounds]
    assert all((len(asked), len(sent)) == (len(FETCH), len(DELIVER)) for asked, sent in told), told
    kept([asked + sent for asked, sent in told], wanted)


def test_jitter_is_added_only_and_spreads(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=1, FETCH_SCHEDULE="1s")
    # 503s in a row would open the breaker
    provider.answers(lambda seen: 500 if not provider.at(seen.path) else 200)

    def waits():
        for i in range(ROUNDS):
            paths = [f"/{i}/{n}" for n in range(20)]
            pipeline.wait_all([pipeline.post(provider.url(path), receiver.url()) for path in paths])
            yield [gap for path in paths for gap in gaps(provider.at(path))]

    found = kept(waits(), [1.0] * 20)
    assert max(found) - min(found) > 0.02, f"no jitter: {found}"


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_longer_than_the_schedule_is_kept(pipeline, provider, receiver, status):
    answer = Answer(status, headers={"Retry-After": "600"})
    kept(retried(pipeline, provider, answer, lambda url: (url, receiver.url())), [0.6])


def test_retry_after_as_a_date_is_kept(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=1, FETCH_SCHEDULE="50ms")
    clock = max(time.monotonic() - time.time() for _ in range(5))  # to the clock of `at`

    def lateness():
        for i in range(ROUNDS):
            until = int(time.time()) + 3
            date = email.utils.formatdate(until, usegmt=True)
            url = provider.serves(f"/{i}", Answer(503, headers={"Retry-After": date}), 200)
            pipeline.wait(pipeline.post(url, receiver.url()), "delivered")
            _, second = provider.at(f"/{i}")
            yield [second.at - (until + clock)]

    kept(lateness(), [0.0], early=0.05)


def test_retry_after_shorter_than_the_schedule_hastens_nothing(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=100, FETCH_SCHEDULE="60s")
    answer = Answer(503, headers={"Retry-After": "1"})
    kept(retried(pipeline, provider, answer, lambda url: (url, receiver.url())), [0.6])


@pytest.mark.parametrize(
    "value", ["soon", "-1", "1e3", "", "99999999999999999999", "Sun, 06 Nov 1994 08:49:37 GMT"]
)
def test_a_senseless_retry_after_delays_by_its_ceiling_at_most(launch, provider, receiver, value):
    pipeline = launch(TIME_SCALE=100000, FETCH_SCHEDULE="5s")  # 10 h are 0.36 s
    provider.answers(Answer(503, headers={"Retry-After": value}), 200)
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")


def test_a_receiver_that_asks_to_wait_is_heard(pipeline, provider, receiver):
    answer = Answer(429, headers={"Retry-After": "600"})
    kept(retried(pipeline, receiver, answer, lambda url: (provider.url(), url)), [0.6])


def test_a_host_that_asks_to_wait_is_held_for_everybody(launch, receiver, peer):
    pipeline = launch(TIME_SCALE=100)
    for _ in range(5):
        provider = peer("asks to wait")
        provider.answers(Answer(503, headers={"Retry-After": "200"}), path="/asks")
        first = pipeline.post(provider.url("/asks"), receiver.url())
        asked = provider.got(1)[0]
        pipeline.wait_attempts(first, "fetch", 1)
        second = pipeline.post(provider.url("/other"), receiver.url())
        elsewhere = pipeline.post(peer("elsewhere").url(), receiver.url())
        pipeline.wait(elsewhere, "delivered")
        early, waiting = provider.at("/other"), pipeline.record(second).get("waiting")
        if time.monotonic() < asked.answered + 2.0:
            break  # a look in time; after it the hold may be over
    assert not early and waiting["reason"] == "held", waiting
    pipeline.wait(second, "delivered")
    assert provider.at("/other")[0].at - asked.answered >= 2.0 - CLOCK


def test_what_waits_says_so(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=1)
    provider.answers(500)

    def due():
        for _ in range(ROUNDS):
            request = pipeline.post(provider.url(), receiver.url())
            pipeline.wait_attempts(request, "fetch", 1)
            record = pipeline.wait(request, "queued")
            assert record["waiting"]["reason"] == "backoff"
            (attempt,) = record["attempts"]
            ended = pipeline.seconds(attempt["startedAt"]) + attempt["ms"] / 1000
            yield [pipeline.seconds(record["waiting"]["until"]) - ended]

    kept(due(), [5.0])
