"""What following costs Redis: one subscription an api, however many follow."""
import pytest

from peers import patience
from peers.tail import Tail
from peers.web import Answer, Gate


@pytest.fixture
def follow(cast):
    return lambda *args, **options: cast(Tail(*args, **options))


def clients(redis, *kind):
    """How many connections there are, our own question apart; and what their sub= sums up to."""
    lines = redis.call("CLIENT", "LIST", *kind).decode().splitlines()
    known = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]
    known = [one for one in known if one["cmd"] != "client|list"]
    return len(known), sum(int(one["sub"]) for one in known)


def test_one_subscription_feeds_all_tails_of_an_api(launch, follow, provider, receiver):
    first, gate = launch(), Gate()
    second = launch(redis=first.redis, consumers=0, responders=0)
    provider.answers(Answer(hold=gate))
    known = lambda: (clients(first.redis), clients(first.redis, "TYPE", "pubsub"))
    alone = ((2 * len(first.services) + 2, 4), (2, 4))  # two connections each; two channels an api
    patience.until(lambda: known() == alone, lambda: f"all to have connected: {known()}")
    requests = [first.post(provider.url(), receiver.url()) for _ in range(2)]
    provider.holds(2)
    tails = [follow(api, request) for api in (first, second) for request in requests for _ in range(8)]
    for tail in tails:
        tail.take(1)
    assert known() == alone, "32 that follow cost no connection and no channel more"
    gate.open()
    for tail in tails:
        assert [one.name for one in tail.rest()][-1] == "end", "and all are told by it"
