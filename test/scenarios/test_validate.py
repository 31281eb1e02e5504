"""A dry run: what would become of a request, with its names resolved."""
import concurrent.futures
import threading
import time

import pytest

from peers import patience


def validate(pipeline, provider, callback, **more):
    body = {"provider": provider, "callbackUrl": callback, **more}
    return pipeline.call("POST", "/validate", body)


@pytest.fixture
def guarded(launch, dns):
    dns.answers("good.test", "127.0.0.2")
    dns.answers("bad.test", "10.1.2.3")
    dns.answers("both.test", ["127.0.0.2", "192.168.7.7"])
    return launch(ALLOW_NETWORKS="127.0.0.2/32", DNS_SERVERS=dns.address)


def test_what_is_fit(guarded):
    reply = validate(guarded, "http://good.test/", "http://127.0.0.2:81/x")
    assert reply.status == 200 and reply.json == {
        "valid": True,
        "hosts": [
            {
                "pointer": pointer, "host": host,
                "addresses": [{"address": "127.0.0.2", "allowed": True, "rule": "ALLOW_NETWORKS 127.0.0.2/32"}],
            }
            for pointer, host in (("/provider", "good.test"), ("/callbackUrl", "127.0.0.2"))
        ],
    }
    assert guarded.get("/requests").json == {"requests": []}


def test_an_operator_sees_which_address_and_which_rule(guarded):
    reply = validate(guarded, "http://bad.test/", "http://both.test/", failureCallbackUrl="http://[::1]/")
    assert reply.status == 422 and reply.faults == {
        "/provider": "address_blocked: bad.test is 10.1.2.3, refused by 10.0.0.0/8",
        "/callbackUrl": "address_blocked: both.test is 192.168.7.7, refused by 192.168.0.0/16",
        "/failureCallbackUrl": "address_blocked: ::1 is ::1, refused by outside 2000::/3",
    }


def test_a_name_that_is_not_known_would_be_tried(guarded):
    reply = validate(guarded, "http://nobody.test/", "http://good.test/")
    assert reply.status == 200
    assert reply.json["hosts"][0] == {"pointer": "/provider", "host": "nobody.test", "addresses": [], "error": "dns"}


def test_faults_are_those_of_a_request(pipeline):
    wrong = {"provider": "ftp://x/", "colour": 1}
    refused, validated = pipeline.call("POST", "/", wrong), pipeline.call("POST", "/validate", wrong)
    assert refused.json == validated.json and validated.status == 422
    assert pipeline.call("POST", "/validate", "{").status == 400
    assert pipeline.call("POST", "/validate", "{}", headers={"Content-Type": "text/plain"}).status == 415


def test_redis_and_the_api_are_refused_as_the_workers_do(launch, redis, proxy, dns, receiver):
    wire = proxy(redis.path)
    pipeline = launch(redis=redis, REDIS_URL=wire.redis_url, DNS_SERVERS=dns.address)
    dns.answers("inside.test", "127.0.0.1")
    for port in (pipeline.port, wire.port):
        target = f"http://inside.test:{port}/"
        assert validate(pipeline, target, receiver.url()).faults == {
            "/provider": "address_blocked: inside.test is 127.0.0.1, refused by Redis or the api"
        }
        record = pipeline.wait(pipeline.post(target, receiver.url()), "failed")
        assert record["error"]["code"] == "address_blocked"
        reply = pipeline.ask(f"http://127.0.0.1:{port}/", receiver.url())
        assert list(reply.faults) == ["/provider"], "a literal address is judged at accept"


def test_ten_a_second(launch, provider, receiver):
    """Ten at once, and a tenth of a second later one more; several ask, to be faster than that."""
    pipeline, begun = launch(), time.monotonic()
    ask = lambda _: validate(pipeline, provider.url(), receiver.url())
    replies = [ask(_) for _ in range(10)]
    assert [reply.status for reply in replies] == [200] * 10

    def refused():
        replies.extend(several.map(ask, range(20)))
        return [reply for reply in replies if reply.status != 200]

    with concurrent.futures.ThreadPoolExecutor(4) as several:
        found = patience.until(refused, "one too many to be refused")
    seconds = time.monotonic() - begun
    assert all(reply.status == 429 and reply.headers["Retry-After"] == "1" for reply in found)
    assert len(replies) - len(found) <= 10 + 10 * seconds


def test_a_name_server_that_is_silent_holds_nobody(launch, dns):
    dns.silent.add("slow.test")
    dns.answers("good.test", "127.0.0.2")
    pipeline = launch(ALLOW_NETWORKS="127.0.0.2/32", DNS_SERVERS=dns.address)
    replies = {}

    def ask(name):
        replies[name] = validate(pipeline, f"http://{name}/", "http://127.0.0.2/")

    slow = threading.Thread(target=ask, args=["slow.test"])
    slow.start()
    patience.until(lambda: dns.lookups("slow.test"), "the silent one to be asked")
    ask("good.test")
    assert replies["good.test"].json["hosts"][0]["addresses"] and "slow.test" not in replies
    slow.join()
    assert replies["slow.test"].status == 200
    assert replies["slow.test"].json["hosts"][0]["error"] == "dns"


def test_a_drain_does_not_wait_for_a_name(launch, dns):
    dns.silent.add("slow.test")
    pipeline = launch(DRAIN_TIMEOUT="8s", DNS_SERVERS=dns.address)
    replies = []
    asking = threading.Thread(
        target=lambda: replies.append(validate(pipeline, "http://slow.test/", "http://slow.test/"))
    )
    asking.start()
    patience.until(lambda: dns.lookups("slow.test"), "the name server to be asked")
    pipeline.api.term()
    asking.join()
    assert pipeline.api.wait(30) == 0
    assert replies[0].status == 503 and replies[0].headers["Retry-After"] == "1"
