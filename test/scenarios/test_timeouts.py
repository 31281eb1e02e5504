"""Nobody is waited for for ever: connecting, answering and dripping have their deadlines."""
import pytest

from peers import patience
from peers.web import Answer, Gate


CLOCK = 2  # milliseconds: curl reads its clock before we read ours


@pytest.fixture
def hasty(launch):
    """Several retries: the other side's good answer may be too slow as well, where somebody stands still."""
    retries = dict.fromkeys(("FETCH_SCHEDULE", "CALLBACK_SCHEDULE"), ",".join(["1s"] * 5))
    return launch(FETCH_TIMEOUT="500ms", CALLBACK_TIMEOUT="500ms", **retries)


def were_cut(record, stage):
    """The attempts of that stage: all but the last, at least one, took too long."""
    made = [one for one in record["attempts"] if one["stage"] == stage]
    assert len(made) > 1 and {one["error"]["code"] for one in made[:-1]} == {"timeout_total"}, made
    assert all(500 - CLOCK <= one["ms"] < 500 + 4000 * patience.STRETCH for one in made[:-1]), made
    return made


SLOW = {
    "before the head": lambda: Answer(hold=Gate()),
    "before the body": lambda: Answer(hold_body=Gate()),
    "a byte at a time": lambda: Answer(body=b"x" * 1000, drip=(1, 0.05)),
}


@pytest.mark.parametrize("slow", SLOW.values(), ids=SLOW)
def test_a_provider_that_takes_too_long_is_cut_and_asked_again(hasty, provider, receiver, slow):
    provider.answers(slow(), 200)
    were_cut(hasty.wait(hasty.post(provider.url(), receiver.url()), "delivered"), "fetch")
    patience.until(lambda: provider.busy == 0, "the slow exchange to be cut")


def test_a_receiver_that_takes_too_long_is_cut_and_told_again(hasty, provider, receiver):
    receiver.answers(Answer(hold=Gate()), 200)
    made = were_cut(hasty.wait(hasty.post(provider.url(), receiver.url()), "delivered"), "deliver")
    told = [seen.headers["webhook-attempt"] for seen in receiver.requests]
    assert len(told) == len(set(told)) and max(told) == str(len(made)), "one may be cut before it comes"


def test_redirects_share_one_deadline(hasty, provider, receiver):
    def onward(seen):
        further = {"Location": provider.url(seen.path + "x")}
        return Answer(302, headers=further, body=b"slow!", drip=(1, 0.06))

    provider.answers(onward)
    first = hasty.wait_attempts(hasty.post(provider.url(), receiver.url()), "fetch", 1)[0]
    assert first["error"]["code"] == "timeout_total"


@pytest.mark.long
def test_a_host_that_never_connects_is_given_up_in_seconds(launch, black_hole, receiver, provider):
    pipeline = launch(FETCH_SCHEDULE="1s", CALLBACK_SCHEDULE="1s")
    as_provider = pipeline.post(black_hole.url(), receiver.url())
    as_callback = pipeline.post(provider.url(), black_hole.url())
    for request, stage in [(as_provider, "fetch"), (as_callback, "deliver")]:
        attempt = pipeline.wait_attempts(request, stage, 1, timeout=15)[0]
        assert attempt["error"]["code"] == "timeout_connect"
        assert 4900 <= attempt["ms"] < 5000 + 3000 * patience.STRETCH


def test_a_name_server_that_is_silent_costs_one_attempt_only(launch, dns, provider, receiver):
    dns.silent.add("silent.test")
    pipeline = launch(DNS_SERVERS=dns.address, FETCH_SCHEDULE="1s")
    stuck = pipeline.post(provider.url(host="silent.test"), receiver.url(), fetch={"timeout": "1s"})
    for _ in range(3):
        pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    attempt = pipeline.wait_attempts(stuck, "fetch", 1, timeout=15)[0]
    assert attempt["error"]["code"] in ("dns", "timeout_connect", "timeout_total")
