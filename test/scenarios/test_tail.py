"""A log that is followed while it grows: nothing is missed, nothing comes twice, whoever restarts meanwhile."""
import time

import pytest

from peers import patience, stage
from peers.keys import Keys, keyed
from peers.pipeline import SANITIZERS, program
from peers.process import Process
from peers.tail import Event, Tail
from peers.web import Answer, Gate

DELIVERED, FAILED, UNDELIVERED, UNREACHABLE = 0, 1, 3, 69
NOBODY = "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.fixture
def follow(cast):
    """follow(pipeline, request, last=…): a tail of it."""
    return lambda *args, **options: cast(Tail(*args, **options))


@pytest.fixture
def logs_follow(cast, tmp_path):
    """logs_follow(api, request, …): `fetchback logs -f` as a process; what it prints is its log."""
    def start(api, request, *words):
        argv = [program("fetchback"), "logs", "-f", "--json", "--api", api, request, *words]
        return cast(Process("logs", argv, str(tmp_path), {**SANITIZERS})).launch()

    return start


def whole(pipeline, request):
    """The log as events of a tail, and its end."""
    state = pipeline.state(request)
    return [Event("message", one["n"], one) for one in pipeline.logs(request)] + [Event("end", None, {"state": state})]


def wait_tails(pipeline, count):
    """Until so many logs are followed."""
    wanted = f'fetchback_open_tails{{service="api"}} {count}'.encode()
    patience.until(lambda: wanted in pipeline.get("/metrics").body, f"{count} open tails")


# -- what is told

def test_a_tail_goes_from_the_first_event_to_the_end(pipeline, follow, provider, receiver):
    gate = Gate()
    provider.answers(503, 503, Answer(hold=gate))
    receiver.answers(500, 200)
    request = pipeline.post(provider.url(), receiver.url())
    tail = follow(pipeline, request)
    told = tail.take(3)
    assert [one.id for one in told] == [1, 2, 3] and told[2].data["attempt"] == 2, "told before the end"
    gate.open()
    told += tail.rest()
    assert told == whole(pipeline, request)
    assert told[-1] == Event("end", None, {"state": "delivered"}), "and then the server closes"


def test_its_head(pipeline, follow, provider, receiver):
    request = pipeline.post(provider.url(), receiver.url())
    status, headers = follow(pipeline, request).head
    assert status == 200 and headers["content-type"] == "text/event-stream"
    assert headers["cache-control"] == "no-store" and "content-length" not in headers


@pytest.mark.parametrize("answer, state", [(200, "delivered"), (404, "failed")])
def test_what_is_over_is_told_at_once(pipeline, follow, provider, receiver, answer, state):
    provider.answers(answer)
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, state)
    assert follow(pipeline, request).rest() == whole(pipeline, request)


def test_who_comes_back_gets_what_follows(pipeline, follow, provider, receiver):
    provider.answers(503, 200)
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    events = whole(pipeline, request)
    for seen in range(len(events)):
        assert follow(pipeline, request, last=seen).rest() == events[seen:]


def test_many_follow_one_request(pipeline, follow, provider, receiver):
    gate = Gate()
    provider.answers(503, Answer(hold=gate))
    request = pipeline.post(provider.url(), receiver.url())
    tails = [follow(pipeline, request) for _ in range(10)]
    [tail.take(2) for tail in tails]
    gate.open()
    stories = [tail.rest() for tail in tails]
    assert stories == [whole(pipeline, request)[2:]] * 10


def test_a_tail_hears_of_its_own_request_alone(pipeline, follow, provider, receiver, peer):
    gate = Gate()
    held = peer("held", said=Answer(hold=gate))
    mine, other = (pipeline.post(held.url(), receiver.url()) for _ in range(2))
    tails = [follow(pipeline, mine), follow(pipeline, other)]
    [tail.take(1) for tail in tails]
    gate.open()
    for tail, request in zip(tails, (mine, other)):
        assert {one.data["requestId"] for one in tail.rest()[:-1]} == {request}


def trim(redis, request):
    """Makes its record one of 250 events of which 21 to 70 are no longer kept, and tells the news."""
    key = f"{{f0}}:r:{request}"
    head, first = redis.call("GET", key).split(b"\n")[:2]
    lines = [b"%d\t%d\tq\t0\t0\t0\tqi\tpaused\tf" % (n, n) for n in [*range(2, 21), *range(71, 251)]]
    redis.call("SET", key, b"\n".join([head, first, *lines, b""]))
    redis.call("PUBLISH", "{f0}:tail", request)


def test_what_was_trimmed_is_a_gap(launch, follow, provider, receiver):
    pipeline = launch(consumers=0)
    request = pipeline.post(provider.url(), receiver.url())
    tail = follow(pipeline, request)
    assert tail.next().id == 1
    trim(pipeline.redis, request)
    gap = Event("gap", 70, {"from": 21, "to": 70})
    told = tail.take(19 + 1 + 180)
    assert [one.id for one in told] == [*range(2, 21), 70, *range(71, 251)] and told[19] == gap
    assert follow(pipeline, request, last=40).next() == Event("gap", 70, {"from": 41, "to": 70})
    assert follow(pipeline, request, last=70).next().id == 71, "a gap is told once"


def test_a_story_of_many_events_has_a_gap_for_who_comes_late(launch, follow, provider, receiver):
    pipeline = launch(consumers=0)
    request = pipeline.post(provider.url(), receiver.url())
    early = follow(pipeline, request)
    had = early.take(1)
    for _ in range(130):
        for verb in ("pause", "resume"):
            assert pipeline.call("POST", f"/requests/{request}/{verb}").status == 200
        had += early.take(2)  # in step: who lags by a hundred events comes late too
    assert pipeline.call("POST", f"/requests/{request}/cancel").status == 200
    kept, late = whole(pipeline, request), follow(pipeline, request).rest()
    last = kept[-2].id
    had += early.rest()
    assert [one.id for one in had] == [*range(1, last + 1), None], "who was there all the time has it all"
    gaps = [one.data for one in late if one.name == "gap"]
    assert [one for one in late if one.name != "gap"] == kept and len(gaps) == 1
    told = {one.id for one in kept} | {*range(gaps[0]["from"], gaps[0]["to"] + 1)}
    assert last > 260 and told == {*range(1, last + 1), None}


@pytest.mark.parametrize("verb, ends", [("cancel", [{"state": "cancelled"}]), ("delete", [])])
def test_what_people_do_is_told(pipeline, follow, provider, receiver, verb, ends):
    gate = Gate()
    provider.answers(Answer(hold=gate))
    request = pipeline.post(provider.url(), receiver.url())
    tail = follow(pipeline, request)
    assert tail.head[0] == 200, "it follows before anything is done"
    provider.holds(1)
    if verb == "cancel":
        assert pipeline.alter(request, "cancel").status == 200
    else:
        reply = pipeline.call("DELETE", f"/requests/{request}")
        # its worker may need more than the second for which the api waits
        assert reply.status == 204 or reply.status == 202 and reply.json["cancelling"], reply
        patience.until(lambda: provider.busy == 0, "the fetch to be cut")
    told = tail.rest()
    assert [one.data for one in told if one.name == "end"] == ends
    assert follow(pipeline, request).head[0] == (200 if ends else 404)


def test_a_request_that_is_gone_ends_its_tail(launch, follow, provider, receiver):
    pipeline = launch(consumers=0)
    request = pipeline.post(provider.url(), receiver.url())
    tail = follow(pipeline, request)
    assert tail.next().id == 1
    pipeline.redis.call("DEL", f"{{f0}}:r:{request}")
    pipeline.redis.call("PUBLISH", "{f0}:tail", request)
    assert tail.next() is None
    assert follow(pipeline, request).head[0] == 404


@pytest.mark.parametrize("query, last", [("follow=2", None), ("follow", None), ("follow=1", "x"), ("follow=1", "-1")])
def test_what_makes_no_sense_is_refused(pipeline, follow, provider, receiver, query, last):
    request = pipeline.post(provider.url(), receiver.url())
    assert follow(pipeline, request, query=query, last=last).head[0] == 422


# -- who restarts meanwhile

@pytest.mark.parametrize("outage", ["term", "kill", "cut"])
def test_redis_goes_and_comes(launch, follow, provider, receiver, outage):
    pipeline, gate, second = launch(), Gate(), Gate()
    provider.answers(Answer(status=503, hold=gate), Answer(hold=second))
    request = pipeline.post(provider.url(), receiver.url())
    tail = follow(pipeline, request)
    told = tail.take(1)
    if outage == "cut":
        for kind in ("normal", "pubsub"):
            pipeline.redis.call("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
    else:
        getattr(pipeline.redis, outage)()
        gate.open()  # its verdict waits for Redis
        pipeline.redis.start()
    gate.open()
    told += tail.take(1)
    assert told[-1].data["event"] == "retry"
    second.open()
    told += tail.rest()
    assert told == whole(pipeline, request), "over one connection, without a gap or a double"


def test_what_happens_while_nobody_hears_of_it_is_told(launch, follow, provider, receiver):
    pipeline, gate, second = launch(), Gate(), Gate()
    provider.answers(Answer(status=503, hold=gate), Answer(hold=second))
    request = pipeline.post(provider.url(), receiver.url())
    tail = follow(pipeline, request)
    tail.take(1)
    provider.holds(1)
    pipeline.api.stop()
    pipeline.redis.call("CLIENT", "KILL", "TYPE", "pubsub")
    gate.open()
    provider.got(2)  # the first verdict is settled, and its news had no listener
    pipeline.api.cont()
    assert tail.next().data["event"] == "retry"
    assert tail.beats == 0, "it came by news, not with the next heartbeat"
    second.open()


def test_a_redis_that_forgot_who_follows_is_told_again(launch, follow, provider, receiver):
    pipeline, gate = launch(), Gate()
    provider.answers(Answer(status=503, hold=gate), 200)
    request = pipeline.post(provider.url(), receiver.url())
    tail = follow(pipeline, request)
    tail.take(1)
    provider.holds(1)
    pipeline.redis.call("DEL", "{f0}:watched")
    pipeline.redis.call("CLIENT", "KILL", "TYPE", "normal")
    patience.until(lambda: pipeline.redis.call("ZSCORE", "{f0}:watched", request), "the request to be watched again")
    gate.open()
    assert tail.rest() == whole(pipeline, request)[1:]
    assert tail.beats == 0, "it came by news, not with the next heartbeat"


def test_the_api_ends_and_the_tail_with_it(launch, follow, provider, receiver):
    pipeline = launch(consumers=0, DRAIN_TIMEOUT="20s")
    request = pipeline.post(provider.url(), receiver.url())
    tail = follow(pipeline, request)
    tail.take(1)
    begun = time.monotonic()
    assert pipeline.api.end() == 0
    assert time.monotonic() - begun < 10 * patience.STRETCH, "it does not wait for who only listens"
    assert tail.next() is None, "no end: whoever follows comes back"


# -- ceilings

def test_tails_have_threads_of_their_own_and_no_more(launch, follow, provider, receiver):
    gate = Gate()
    provider.answers(Answer(hold=gate))
    pipeline = launch(API_THREADS=2, TAILS_MAX=3)
    request = pipeline.post(provider.url(), receiver.url())
    tails = [follow(pipeline, request) for _ in range(3)]
    [tail.take(1) for tail in tails]
    for _ in range(3):
        refused = follow(pipeline, request)
        status, headers = refused.head
        assert status == 503 and headers["retry-after"]
        refused.close()  # a connection that is kept has its thread for 15 s
    wait_tails(pipeline, 3)
    assert pipeline.state(request) in ("queued", "fetching"), "others are served"
    gate.open()
    for tail in tails:
        assert tail.rest()[-1].data == {"state": "delivered"}
    wait_tails(pipeline, 0)
    assert follow(pipeline, request).rest() == whole(pipeline, request), "a place is free again"


def test_one_key_follows_half_of_what_may_be(launch, follow, provider, receiver, tmp_path):
    gate = Gate()
    provider.answers(Answer(hold=gate))
    keys = Keys(tmp_path).write(("alice", "wonder"), ("bob", "builder"), ("op", "secret", "admin"))
    pipeline = launch(TAILS_MAX=5, API_KEYS=keys.path)
    requests = {key: keyed(pipeline, key).post(provider.url(), receiver.url()) for key in ("wonder", "builder")}
    hers = [follow(pipeline, requests["wonder"], key="wonder") for _ in range(3)]
    [tail.take(1) for tail in hers]
    status, headers = follow(pipeline, requests["wonder"], key="wonder").head
    assert status == 429 and headers["retry-after"]
    his = [follow(pipeline, requests["builder"], key="builder") for _ in range(2)]
    [tail.take(1) for tail in his]
    assert follow(pipeline, requests["builder"], key="builder").head[0] == 503, "now there is none left"
    gate.open()
    for tail in hers + his:
        assert tail.rest()[-1].data == {"state": "delivered"}
    wait_tails(keyed(pipeline, "secret"), 0)
    assert follow(pipeline, requests["wonder"], key="wonder").rest()[-1].name == "end", "a place is free again"


def test_a_reader_that_does_not_read_holds_only_its_own_thread(launch, follow, provider, receiver):
    pipeline, gate = launch(consumers=0), Gate()
    provider.answers(Answer(hold=gate))
    request = pipeline.post(provider.url(), receiver.url())
    key = f"{{f0}}:r:{request}"
    record = pipeline.redis.call("GET", key)
    many = b"".join(b"%d\t%d\tq\t0\t0\t0\tqi\tpaused\tf\t0\t0\t0\t\t%s\n" % (n, n, b"x" * 160) for n in range(2, 500))
    pipeline.redis.call("SET", key, record + many)
    sleepers = [follow(pipeline, request, buffer=2048) for _ in range(4)]
    wait_tails(pipeline, 4)
    other = pipeline.post(provider.url(), receiver.url())
    awake = follow(pipeline, other)
    assert awake.next().data["event"] == "accepted"
    pipeline.hire("consumer")
    pipeline.consumers[-1].env.update(pipeline._place())
    pipeline.consumers[-1].start()
    gate.open()
    assert awake.rest() == whole(pipeline, other)[1:]
    assert len(sleepers) == 4


# -- fetchback logs -f

def test_logs_follow_ends_with_the_request(pipeline, logs_follow, provider, receiver):
    gate = Gate()
    provider.answers(503, Answer(hold=gate))
    request = pipeline.post(provider.url(), receiver.url())
    command = logs_follow(pipeline.url, request)
    command.wait_events(lambda event: event["event"] == "retry", 1)
    gate.open()
    assert command.wait() == DELIVERED
    assert command.events() == pipeline.logs(request)


def test_logs_follow_tells_a_failure_by_its_exit_code(pipeline, logs_follow, provider, receiver):
    provider.answers(404)
    request = pipeline.post(provider.url(), receiver.url())
    command = logs_follow(pipeline.url, request)
    assert command.wait() == UNDELIVERED
    assert command.events() == pipeline.logs(request)


@pytest.mark.parametrize("who", ["api", "redis", "both"])
def test_logs_follow_survives_a_restart(launch, logs_follow, provider, receiver, who):
    pipeline, gates = launch(), [Gate(), Gate(), Gate()]
    provider.answers(*[Answer(status=503, hold=gate) for gate in gates], 200)
    request = pipeline.post(provider.url(), receiver.url())
    command = logs_follow(pipeline.url, request)
    command.wait_events(lambda event: event["event"] == "accepted", 1)
    for gate in gates:
        if who in ("api", "both"):
            pipeline.api.kill()
        if who in ("redis", "both"):
            pipeline.redis.kill()
        gate.open()
        if who in ("redis", "both"):
            pipeline.redis.start()
        if who in ("api", "both"):
            pipeline.api.start()
    assert command.wait(60) == DELIVERED
    assert command.events() == pipeline.logs(request), "no gap, no double"


def test_logs_follow_of_what_is_not_there(pipeline, logs_follow):
    command = logs_follow(pipeline.url, NOBODY)
    assert command.wait() == FAILED and "404" in command.log()


def test_logs_follow_without_an_api(programs, logs_follow):
    with stage.bound_socket() as nobody_listens:
        command = logs_follow(f"http://127.0.0.1:{nobody_listens.getsockname()[1]}", NOBODY)
        assert command.wait() == UNREACHABLE


def sse(*events, rest=b"", **how):
    """An answer that is a stream of events, and then its end."""
    return Answer(type="text/event-stream", framing="close", body=b"".join(events) + rest, **how)


def event(n):
    return b'id: %d\ndata: {"n":%d,"event":"e"}\n\n' % (n, n)


END = b'event: end\ndata: {"state":"delivered"}\n\n'


@pytest.mark.parametrize("how", [{}, {"drip": (1, 0)}, {"drip": (7, 0)}], ids=["at once", "by bytes", "by sevens"])
def test_logs_follow_reads_a_stream_in_any_pieces(peer, logs_follow, how):
    api = peer("api")
    api.answers(sse(b":\n\n", event(1), b"retry: 5\n", b":x\n", event(2), END, **how))
    command = logs_follow(api.url(""), NOBODY)
    assert command.wait() == DELIVERED
    assert [one["n"] for one in command.events()] == [1, 2]


def test_logs_follow_goes_on_behind_the_last_whole_event(peer, logs_follow):
    api = peer("api")
    api.answers(sse(event(1), event(2), rest=event(3)[:-1]), 503, sse(b""), sse(event(3), rest=b"id: 4"), sse(END))
    command = logs_follow(api.url(""), NOBODY)
    assert command.wait() == DELIVERED
    assert [one["n"] for one in command.events()] == [1, 2, 3]
    assert [seen.headers.get("last-event-id") for seen in api.requests] == [None, "2", "2", "2", "3"]
    assert {seen.query for seen in api.requests} == {"follow=1"}


@pytest.mark.parametrize("said", [Answer(body=b"<html>", type="text/html"), Answer(body=b'{"n":1}\n'),
                                  sse(b"data: " + b"x" * 100000), sse(b'event: end\ndata: {}\n\n')])
def test_logs_follow_does_not_follow_another_server(peer, logs_follow, said):
    other = peer("other")
    other.answers(said)
    command = logs_follow(other.url(""), NOBODY)
    assert command.wait() == FAILED and "not as the api does" in command.log()
