"""https: the certificate must be good, and for this name; everything else is as over http."""
import pytest

from peers.tls import Authority
from peers.web import Answer


@pytest.fixture
def trusting(launch, tls, dns):
    dns.answers("good.test", "127.0.0.1")
    dns.answers("other.test", "127.0.0.1")
    retries = {"FETCH_SCHEDULE": "1s", "CALLBACK_SCHEDULE": "1s"}
    return launch(CA_FILE=tls.ca_file, DNS_SERVERS=dns.address, **retries)


def test_both_sides_over_https(trusting, peer, tls):
    provider = peer("provider", tls=tls.context("good.test"))
    receiver = peer("receiver", tls=tls.context("127.0.0.1"))
    trusting.wait(trusting.post(provider.url(host="good.test"), receiver.url()), "delivered")
    for _ in range(3):
        trusting.wait(trusting.post(provider.url(host="good.test"), receiver.url()), "delivered")
    assert provider.opened < 4, "connections are kept"


def test_a_certificate_for_another_name_is_refused(trusting, peer, tls, receiver):
    provider = peer("provider", tls=tls.context("good.test"))
    record = trusting.wait(trusting.post(provider.url(host="other.test"), receiver.url()), "failed")
    assert [one["error"]["code"] for one in record["attempts"]] == ["tls", "tls"]
    assert not provider.requests


def test_a_certificate_of_another_authority_is_refused(trusting, peer, provider, tmp_path):
    stranger = Authority(str(tmp_path / "stranger"))
    receiver = peer("receiver", tls=stranger.context("127.0.0.1"))
    record = trusting.wait(trusting.post(provider.url(), receiver.url()), "failed")
    assert record["error"]["code"] == "tls" and not receiver.requests


def test_plain_http_where_tls_is_spoken_fails(trusting, peer, tls, receiver):
    secure = peer("secure", tls=tls.context("127.0.0.1"))
    plain = secure.url().replace("https:", "http:")
    record = trusting.wait(trusting.post(plain, receiver.url()), "failed")
    assert record["error"]["code"] in ("reset", "truncated", "http_status", "connect")


def test_tls_where_plain_http_is_spoken_fails(trusting, provider, receiver):
    secure = provider.url().replace("http:", "https:")
    record = trusting.wait(trusting.post(secure, receiver.url()), "failed")
    assert record["error"]["code"] == "tls" and not provider.requests


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_bodies_over_tls_cut_short_are_noticed(trusting, peer, tls, receiver, framing):
    secure = peer("secure", tls=tls.context("127.0.0.1"))
    body = b'"' + b"x" * 100_000 + b'"'
    short = Answer(body=body, cut=50_000, reset=True, framing=framing)
    secure.answers(short, Answer(body=body, framing=framing))
    trusting.wait(trusting.post(secure.url(), receiver.url()), "delivered")
    assert len(receiver.requests) == 1 and receiver.requests[0].json["data"] == "x" * 100_000
