"""A pipeline that has nothing to do is quiet: less than one command a second and service."""
import time

import pytest

WATCHED = 6.0  # seconds: two rounds of the longest blocking call


@pytest.mark.long
def test_an_idle_service_is_quiet(launch, redis, proxy, provider, receiver):
    wires = {name: proxy(redis.path, unix=True) for name in ("api", "consumer-0", "responder-0")}
    ways = {name: {"REDIS_URL": wire.redis_url} for name, wire in wires.items()}
    pipeline = launch(redis=redis, only=ways)
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    for _ in range(3):
        before = {name: (wire.accepted, wire.commands) for name, wire in wires.items()}
        time.sleep(WATCHED)  # there is no event that says "nothing happens"
        after = {name: (wire.accepted, wire.commands) for name, wire in wires.items()}
        if all(after[name][0] == before[name][0] for name in wires):
            break  # else somebody has connected anew, which takes commands of its own
    for name in wires:
        sent = after[name][1] - before[name][1]
        assert sent < WATCHED, f"{name} sent {sent} commands in {WATCHED:g} idle seconds"
    assert any(wire.commands for wire in wires.values())
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")


def test_a_worker_that_idles_is_woken_at_once(launch, provider, receiver):
    pipeline = launch()
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    took = []
    for _ in range(10):
        begun = time.monotonic()
        pipeline.post(provider.url(), receiver.url())
        receiver.got(len(took) + 2)
        took.append(time.monotonic() - begun)
    assert sorted(took)[5] < 0.5, took
