"""No address inside the operator's network is reached unless allowed: by URL, redirect or name."""
import socket

import pytest

from peers import patience
from peers.web import Answer

FORBIDDEN = [
    "127.0.0.1", "127.1", "127.255.255.254", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1",
    "017700000001", "127.0.1",
    "0.0.0.0", "0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255",
    "169.254.169.254",
    "169.254.0.1", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1",
    "192.168.0.1", "198.18.0.1",
    "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
    "255.255.255.255", "168.63.129.16",
    "[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[::ffff:10.0.0.1]", "[::127.0.0.1]",
    "[fe80::1]", "[fc00::1]", "[fd12:3456::1]", "[ff02::1]", "[2001::1]", "[2001:db8::1]",
    "[2002:7f00:1::]", "[3fff::1]",
    "[64:ff9b::7f00:1]", "[2606:4700::5efe:127.0.0.1]", "[100::1]",
]
PUBLIC = [
    "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "128.0.0.1", "169.253.255.255",
    "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.1", "192.167.255.255",
    "192.169.0.0", "198.17.255.255",
    "198.20.0.0", "198.51.99.255", "203.0.114.0", "223.255.255.255", "168.63.129.15",
    "168.63.129.17",
    "[2606:4700::1]", "[2001:200::1]", "[2003::1]", "[2a00::1]", "[3ffe::1]",
]
OPEN = "127.0.0.2"  # the one host that the operator of these tests allows


@pytest.fixture
def guarded(launch, dns):
    """Only OPEN may be reached, and names are what `dns` says."""
    retries = {"FETCH_SCHEDULE": "1s", "CALLBACK_SCHEDULE": "1s"}
    return launch(ALLOW_NETWORKS=f"{OPEN}/32", DNS_SERVERS=dns.address, **retries)


@pytest.fixture
def host(peer):
    return peer("open host", address=OPEN)


@pytest.fixture
def victim(peer):
    return peer("victim")


def test_literal_addresses_are_judged_at_accept(launch):
    pipeline = launch(ALLOW_NETWORKS=None, consumers=0, responders=0)
    wrong = {}
    for address in [*FORBIDDEN, *PUBLIC]:
        for field, other in [("provider", "callbackUrl"), ("callbackUrl", "provider")]:
            body = {field: f"http://{address}:8080/x", other: "http://example.test/"}
            reply = pipeline.call("POST", "/", body)
            wanted = 422 if address in FORBIDDEN else 202
            named = wanted == 202 or (reply.status == 422 and list(reply.faults) == [f"/{field}"])
            if reply.status != wanted or not named:
                wrong[address] = reply
    assert not wrong


def test_the_api_and_redis_are_never_dialled(launch, redis, proxy, provider, receiver):
    wire = proxy(redis.path)
    pipeline = launch(redis=redis, REDIS_URL=wire.redis_url)
    for port in (pipeline.port, wire.port):
        for address in ("127.0.0.1", "[::ffff:127.0.0.1]", "0x7f.1", "localhost"):
            target = f"http://{address}:{port}/healthz"
            hidden = provider.serves(f"/{address}", Answer(302, headers={"Location": target}))
            here, there = provider.url(), receiver.url()
            for url, callback in [(target, there), (hidden, there), (here, target)]:
                reply = pipeline.ask(url, callback)
                if reply.status != 422:
                    record = pipeline.wait(reply.json["requestId"], "failed")
                    assert record["error"]["code"] == "address_blocked", record
    # A service that connects anew, as it does when Redis was slow, begins with a command; whoever is sent here does
    # not. All who came before us have been counted when we are answered.
    with socket.create_connection(("127.0.0.1", wire.port), patience.bound(None)) as last:
        last.sendall(b"*1\r\n$4\r\nPING\r\n")
        assert last.recv(1) == b"+"
    patience.until(lambda: not wire.strangers, lambda: f"{wire.strangers} of {wire.accepted} were no client of Redis")
    assert not receiver.requests


def test_what_is_allowed_works(guarded, dns, host):
    dns.answers("fine.test", OPEN)
    name = host.url("/", host="fine.test")
    guarded.wait(guarded.post(host.url(), host.url("/c")), "delivered")
    guarded.wait(guarded.post(name, name), "delivered")
    assert host.requests[-1].headers["host"] == f"fine.test:{host.port}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_into_the_network_is_not_followed(guarded, dns, host, victim, status):
    dns.answers("inside.test", "127.0.0.1")
    names = ["127.0.0.1", "inside.test", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"]
    for number, target in enumerate(victim.url(host=name) for name in names):
        url = host.serves(f"/{number}", Answer(status, headers={"Location": target}))
        record = guarded.wait(guarded.post(url, host.url("/c")), "failed")
        assert record["error"]["code"] == "address_blocked", target
    assert victim.opened == 0 and not host.at("/c")


def test_a_blocked_address_ends_at_once_and_explains_nothing(guarded, dns, host, victim):
    dns.answers("inside.test", "127.0.0.1")
    record = guarded.wait(guarded.post(victim.url(host="inside.test"), host.url()), "failed")
    assert record["error"]["code"] == "address_blocked" and len(record["attempts"]) <= 1
    told = str(record) + str(guarded.logs(record["requestId"]))
    assert "127.0.0.1" not in told.replace(victim.url(), ""), "no help for whoever scans our ports"
    assert victim.opened == 0


MIXED = [
    ["127.0.0.1"], [OPEN, "127.0.0.1"], ["127.0.0.1", OPEN], ["::1", OPEN], ["::ffff:127.0.0.1"],
    ["169.254.169.254"], ["0.0.0.0"],
]


@pytest.mark.parametrize("answers", MIXED, ids="+".join)
def test_one_forbidden_answer_of_a_name_refuses_all(guarded, dns, host, victim, answers):
    dns.answers("mixed.test", answers)
    as_provider = guarded.post(victim.url(host="mixed.test"), host.url())
    as_callback = guarded.post(host.url(), victim.url(host="mixed.test"))
    for request in (as_provider, as_callback):
        assert guarded.wait(request, "failed")["error"]["code"] == "address_blocked"
    assert victim.opened == 0


def test_a_name_that_rebinds_between_two_attempts_is_judged_anew(launch, dns, host, victim):
    # Answers are kept for a second at least: the retry comes later.
    late = {"TIME_SCALE": 1, "FETCH_SCHEDULE": "1200ms"}
    pipeline = launch(ALLOW_NETWORKS=OPEN, DNS_SERVERS=dns.address, **late)
    dns.answers("rebinds.test", [OPEN], ["127.0.0.1"])
    host.answers(Answer(500, close=True), path="/")
    record = pipeline.wait(pipeline.post(host.url(host="rebinds.test"), host.url("/c")), "failed")
    assert record["error"]["code"] == "address_blocked" and record["attempts"][0]["status"] == 500
    assert len(host.requests) == 1 and victim.opened == 0


def test_a_name_that_rebinds_behind_a_redirect_is_judged_anew(guarded, dns, host, victim):
    dns.answers("rebinds.test", [OPEN], ["127.0.0.1"])
    first, then = host.url("/b", host="rebinds.test"), victim.url(host="rebinds.test")
    url = host.serves("/a", Answer(302, headers={"Location": first}, close=True))
    host.answers(Answer(302, headers={"Location": then}, close=True), path="/b")
    record = guarded.wait(guarded.post(url, host.url("/c")), "failed")
    # blocked, or (the first answer still known) nothing there to connect to
    assert record["error"]["code"] in ("address_blocked", "connect") and victim.opened == 0


def test_one_lookup_serves_judge_and_connection(guarded, dns, host, victim):
    """The second answer would go to the victim: whoever asks twice for one attempt dials it."""
    dns.answers("flips.test", [OPEN], ["127.0.0.1"])
    guarded.wait(guarded.post(host.url(host="flips.test"), host.url("/c")), "delivered")
    assert dns.lookups("flips.test") == 1 and victim.opened == 0


def test_a_callback_by_a_forbidden_name_ends_at_once(guarded, dns, host, victim):
    dns.answers("inside.test", "127.0.0.1")
    record = guarded.wait(guarded.post(host.url(), victim.url(host="inside.test")), "failed")
    assert record["error"]["code"] == "address_blocked" and victim.opened == 0


def test_localhost_by_name_is_no_way_in(guarded, host, victim):
    record = guarded.wait(guarded.post(victim.url(host="localhost"), host.url()), "failed")
    assert record["error"]["code"] == "address_blocked" and victim.opened == 0


def test_allowed_hosts_open_a_name_and_denied_networks_close_all(launch, dns, peer):
    names = peer("named", address="127.0.0.3")
    dns.answers("named.test", "127.0.0.3")
    dns.answers("a.wild.test", "127.0.0.3")
    dns.answers("other.test", "127.0.0.3")
    hosts = "named.test, *.wild.test"
    opened = launch(ALLOW_NETWORKS=None, ALLOW_HOSTS=hosts, DNS_SERVERS=dns.address)
    callback = names.url("/c", host="named.test")
    for name in ("named.test", "a.wild.test", "NAMED.test"):
        opened.wait(opened.post(names.url(host=name), callback), "delivered")
    record = opened.wait(opened.post(names.url(host="other.test"), callback), "failed")
    assert record["error"]["code"] == "address_blocked"
    closed = launch(ALLOW_HOSTS="named.test", DENY_NETWORKS="127.0.0.3", DNS_SERVERS=dns.address)
    record = closed.wait(closed.post(names.url(host="named.test"), callback), "failed")
    assert record["error"]["code"] == "address_blocked"


def test_a_proxy_in_the_environment_is_not_asked(launch, provider, receiver, peer):
    proxy = peer("proxy")
    url = f"http://127.0.0.1:{proxy.port}"
    pipeline = launch(http_proxy=url, HTTP_PROXY=url, ALL_PROXY=url, https_proxy=url)
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    assert proxy.opened == 0


def test_a_name_unknown_is_retried_and_told_as_dns(guarded, dns, host):
    request = guarded.post("http://nobody.test/", host.url("/c"))
    assert guarded.wait_attempts(request, "fetch", 1)[0]["error"]["code"] == "dns"


def test_what_the_operator_opens_is_said_at_start(guarded):
    for service in guarded.services:
        assert OPEN in service.log(), service.name
