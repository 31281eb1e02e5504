"""When a retry comes: on its schedule, never early, and later when the other side asked for it."""
import email.utils
import time

import pytest

from peers import patience
from peers.web import Answer

FETCH = [5, 30, 120, 600, 1800, 3600]  # seconds
DELIVER = [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
CLOCK = 0.002  # Redis and we read our clocks in whole milliseconds
LATE = 2.0  # what a busy machine may add to any wait


def gaps(requests):
    return [later.at - earlier.answered for earlier, later in zip(requests, requests[1:])]


def kept(gap, wanted):
    return wanted - CLOCK <= gap <= wanted * 1.1 + 0.05 + LATE * patience.STRETCH


@pytest.mark.long
def test_both_default_schedules_are_kept(launch, provider, receiver, peer):
    scale = 20000
    pipeline = launch(TIME_SCALE=scale)
    refusing = peer("refusing", said=500)
    provider.answers(503)
    never_fetched = pipeline.post(provider.url(), receiver.url())
    provider.answers(200, path="/fine")
    never_delivered = pipeline.post(provider.url("/fine"), refusing.url())
    told = refusing.got(len(DELIVER) + 1, timeout=60)
    asked = provider.got(len(FETCH) + 1, path="/")
    for gap, wanted in [*zip(gaps(asked), FETCH), *zip(gaps(told), DELIVER)]:
        assert kept(gap, wanted / scale), (gap, wanted / scale, gaps(asked), gaps(told))
    pipeline.wait(never_fetched, "failed")
    pipeline.wait(never_delivered, "failed")
    assert len(provider.at("/")) == len(FETCH) + 1 and len(refusing.requests) == len(DELIVER) + 1


def test_jitter_is_added_only_and_spreads(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=1, FETCH_SCHEDULE="1s")
    # 503s in a row would open the breaker
    provider.answers(lambda seen: 500 if not provider.at(seen.path) else 200)
    requests = [pipeline.post(provider.url(f"/{i}"), receiver.url()) for i in range(20)]
    pipeline.wait_all(requests)
    waits = [gaps(provider.at(f"/{i}"))[0] for i in range(20)]
    assert all(kept(wait, 1.0) for wait in waits), waits
    assert max(waits) - min(waits) > 0.02, f"no jitter: {waits}"


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_longer_than_the_schedule_is_kept(pipeline, provider, receiver, status):
    provider.answers(Answer(status, headers={"Retry-After": "600"}), 200)
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    (gap,) = gaps(provider.requests)
    assert kept(gap, 0.6), gap


def test_retry_after_as_a_date_is_kept(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=1, FETCH_SCHEDULE="50ms")
    until = int(time.time()) + 3
    date = email.utils.formatdate(until, usegmt=True)
    provider.answers(Answer(503, headers={"Retry-After": date}), 200)
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    first, second = provider.requests
    wanted = until - time.time() + time.monotonic()  # on the clock of `at`
    assert second.at >= wanted - 0.05 and second.at <= wanted + 1 + LATE * patience.STRETCH


def test_retry_after_shorter_than_the_schedule_hastens_nothing(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=100, FETCH_SCHEDULE="60s")
    provider.answers(Answer(503, headers={"Retry-After": "1"}), 200)
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    assert kept(gaps(provider.requests)[0], 0.6)


@pytest.mark.parametrize(
    "value", ["soon", "-1", "1e3", "", "99999999999999999999", "Sun, 06 Nov 1994 08:49:37 GMT"]
)
def test_a_senseless_retry_after_delays_by_its_ceiling_at_most(launch, provider, receiver, value):
    pipeline = launch(TIME_SCALE=100000, FETCH_SCHEDULE="5s")  # 10 h are 0.36 s
    provider.answers(Answer(503, headers={"Retry-After": value}), 200)
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")


def test_a_receiver_that_asks_to_wait_is_heard(pipeline, provider, receiver):
    receiver.answers(Answer(429, headers={"Retry-After": "600"}), 200)
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    assert kept(gaps(receiver.requests)[0], 0.6)


def test_a_host_that_asks_to_wait_is_held_for_everybody(launch, provider, receiver, peer):
    pipeline = launch(TIME_SCALE=100)
    provider.answers(Answer(503, headers={"Retry-After": "200"}), path="/asks")
    first = pipeline.post(provider.url("/asks"), receiver.url())
    (asked,) = provider.got(1)
    pipeline.wait_attempts(first, "fetch", 1)
    second = pipeline.post(provider.url("/other"), receiver.url())
    elsewhere = pipeline.post(peer("elsewhere").url(), receiver.url())
    pipeline.wait(elsewhere, "delivered")
    waiting = pipeline.record(second).get("waiting")
    assert not provider.at("/other") and waiting["reason"] == "held", waiting
    pipeline.wait(second, "delivered")
    assert provider.at("/other")[0].at - asked.answered >= 2.0 - CLOCK


def test_what_waits_says_so(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=1)
    provider.answers(500)
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait_attempts(request, "fetch", 1)
    record = pipeline.wait(request, "queued")
    assert record["waiting"]["reason"] == "backoff"
    due = pipeline.seconds(record["waiting"]["until"])
    assert 4 < due - time.time() < 6
