"""Redirects: a provider's are followed by us, a few and with care; a callback's never."""
import pytest

from peers.web import Answer


def to(target, status=302):
    return Answer(status, body=b"moved", headers={"Location": target})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_providers_redirect_is_followed(pipeline, provider, receiver, status):
    provider.answers(to("target?x=1", status), path="/deep/start")
    provider.answers({"there": 1}, path="/deep/target")
    request = pipeline.post(provider.url("/deep/start"), receiver.url())
    pipeline.wait(request, "delivered")
    assert receiver.requests[0].json["data"] == {"there": 1}
    (asked,) = provider.at("/deep/target")
    assert asked.method == "GET" and asked.query == "x=1"
    assert receiver.requests[0].headers["fetchback-status"] == "200"


def test_five_hops_are_followed_and_no_sixth(pipeline, provider, receiver):
    for hop in range(8):
        provider.answers(to(provider.url(f"/{hop + 1}")), path=f"/{hop}")
    provider.answers({"end": 1}, path="/8")
    pipeline.wait(pipeline.post(provider.url("/3"), receiver.url()), "delivered")
    provider.requests.clear()
    record = pipeline.wait(pipeline.post(provider.url("/2"), receiver.url()), "failed")
    assert record["error"]["code"] == "redirect" and len(provider.requests) == 6
    assert not provider.at("/8")


def test_a_circle_ends(pipeline, provider, receiver):
    provider.answers(to(provider.url("/")))
    record = pipeline.wait(pipeline.post(provider.url(), receiver.url()), "failed")
    assert record["error"]["code"] == "redirect" and len(provider.requests) == 6


def test_another_host_is_followed_to_and_gets_its_own_name(pipeline, provider, receiver, peer):
    other = peer("other")
    other.answers({"other": 1})
    provider.answers(to(other.url("/x")))
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    assert other.requests[0].headers["host"] == f"127.0.0.1:{other.port}"
    assert "referer" not in other.requests[0].headers


@pytest.mark.parametrize(
    "answer",
    [
        Answer(302),
        to(""),
        to("http://"),
        to("ftp://127.0.0.1/"),
        to("file:///etc/passwd"),
        to("http://user:password@127.0.0.1/"),
        to("http://exa mple/"),
        to("http://127.0.0.1:0/"),
        Answer(304),
        Answer(300),
    ],
    ids=["no location", "empty", "no host", "ftp", "file", "user", "space", "port 0", "304", "300"],
)
def test_a_redirect_that_leads_nowhere_ends_at_once(pipeline, provider, receiver, answer):
    provider.answers(answer)
    record = pipeline.wait(pipeline.post(provider.url(), receiver.url()), "failed")
    assert record["error"]["code"] in ("redirect", "http_status", "address_blocked")
    assert len(provider.requests) in (1, 6) and not receiver.requests


def test_https_never_becomes_http(launch, provider, receiver, peer, tls):
    pipeline = launch(CA_FILE=tls.ca_file)
    secure = peer("secure", tls=tls.context("127.0.0.1"))
    secure.answers(to(provider.url()))
    record = pipeline.wait(pipeline.post(secure.url(), receiver.url()), "failed")
    assert record["error"]["code"] == "redirect" and not provider.requests
    provider.answers(to(secure.url("/fine")))
    secure.answers(200, path="/fine")
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")


def test_a_hop_that_fails_for_now_is_retried_from_the_start(pipeline, provider, receiver):
    provider.answers(to(provider.url("/b")), path="/a")
    provider.answers(503, {"b": 1}, path="/b")
    pipeline.wait(pipeline.post(provider.url("/a"), receiver.url()), "delivered")
    assert len(provider.at("/a")) == 2 and len(provider.at("/b")) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_callbacks_redirect_is_a_failed_attempt(pipeline, provider, receiver, peer, status):
    elsewhere = peer("elsewhere")
    receiver.answers(to(elsewhere.url(), status), 200)
    record = pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    assert elsewhere.opened == 0
    first, second = receiver.requests
    assert first.body == second.body and second.method == "POST"
    assert record["attempts"][1]["error"]["code"] in ("http_status", "redirect")
