"""Bytes on the api's wire that two readers could read differently are refused, the wire closed."""
import re
import socket

import pytest

from peers import patience

GOOD = b'{"provider":"http://127.0.0.1:9/p","callbackUrl":"http://127.0.0.1:9/c"}'
SMUGGLED = b"POST /smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"


def exchange(pipeline, raw):
    """All that is answered until the api closes."""
    with socket.create_connection(("127.0.0.1", pipeline.port)) as wire:
        wire.settimeout(patience.bound(None))
        answer = b""
        try:
            wire.sendall(raw)
            wire.shutdown(socket.SHUT_WR)
            while piece := wire.recv(65536):
                answer += piece
        except TimeoutError:
            raise
        except OSError:
            pass  # closed before it had read all
        return answer


def in_turn(pipeline, *raws):
    """Each sent when the one before is answered, over one connection: all answers, until the api closes."""
    with socket.create_connection(("127.0.0.1", pipeline.port)) as wire:
        wire.settimeout(patience.bound(None))
        answers = b""
        for raw in raws:
            try:
                wire.sendall(raw)
                piece = wire.recv(65536)
            except ConnectionError:
                piece = b""
            if not piece:
                break
            answers += piece
        return answers


def statuses(answer):
    """Of every answer on the wire, in order."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


def post(*lines, body=GOOD, version=b"1.1", host=b"Host: localhost\r\n"):
    more = b"".join(line + b"\r\n" for line in lines)
    head = b"POST / HTTP/%s\r\n%sContent-Type: application/json\r\n%s\r\n" % (version, host, more)
    return head + body


LOOK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
LENGTH = b"Content-Length: %d" % len(GOOD)
CHUNKED = b"Transfer-Encoding: chunked"
HOSTILE = {
    "two lengths": post(LENGTH, b"Content-Length: 0", body=GOOD + SMUGGLED),
    "two equal lengths": post(LENGTH, LENGTH),
    "a list of lengths": post(b"Content-Length: 0, %d" % len(GOOD)),
    "letters in the length": post(b"Content-Length: %dabc" % len(GOOD)),
    "a signed length": post(b"Content-Length: +%d" % len(GOOD)),
    "a negative length": post(b"Content-Length: -1"),
    "a hex length": post(b"Content-Length: 0x10"),
    "an enormous length": post(b"Content-Length: 99999999999999999999"),
    "an empty length": post(b"Content-Length:"),
    "length and chunked": post(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n" + SMUGGLED),
    "identity": post(LENGTH, b"Transfer-Encoding: identity"),
    "a coding unknown": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "gzip then chunked": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "a space before the colon": post(b"Content-Length : %d" % len(GOOD)),
    "a name that is no token": post(LENGTH, b"X(Y): z"),
    "a folded line": post(LENGTH, b"X-A: b", b" c"),
    "no host": post(LENGTH, host=b""),
    "two hosts": post(LENGTH, b"Host: evil.test"),
    "a version unknown": post(LENGTH, version=b"2.0"),
    "a hundred headers": post(*[b"X-%d: y" % i for i in range(100)], LENGTH),
    "a length behind many": post(*[b"X-%d: y" % i for i in range(64)], LENGTH),
    "a space in front": b" " + post(LENGTH),
    "an empty line in front": b"\r\n" + post(LENGTH),
    "a bare LF in front": b"\n" + post(LENGTH),
    "a bare CR in front": b"\r" + post(LENGTH),
    "lines that end with LF": post(LENGTH).replace(b"\r\n", b"\n"),
    "a last line that ends with LF": post(LENGTH).replace(b"\r\n\r\n", b"\n\n"),
    "a bare end that looks whole": post(b"Content-Length: 4", body=b"\r\0{}").replace(b"\r\n\r\n", b"\n\n"),
    "binary": bytes(range(256)),
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_hostile_framing_is_refused_and_closed(pipeline, raw):
    answer = exchange(pipeline, raw)
    assert len(statuses(answer)) <= 1, "a second request was heard"
    assert all(status >= 400 for status in statuses(answer)) and b"/smuggled" not in answer
    assert pipeline.get("/healthz").status == 200


def test_good_framing_of_every_kind_is_taken(pipeline):
    chunks = b"5\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (GOOD[:5], len(GOOD) - 5, GOOD[5:])
    for raw in [post(LENGTH), post(CHUNKED, body=chunks), post(LENGTH, version=b"1.0")]:
        assert statuses(exchange(pipeline, raw)) == [202], raw


def test_requests_on_one_connection_are_answered_in_order(pipeline):
    raw = post(LENGTH) + LOOK + post(LENGTH, b"Connection: close")
    assert statuses(exchange(pipeline, raw)) == [202, 200, 202]


def test_no_head_ends_where_an_earlier_one_did(pipeline):
    """What the first leaves in the api's buffer stands right behind the shorter second."""
    shorter = LOOK.replace(b"\r\n\r\n", b"\n\n")
    assert statuses(in_turn(pipeline, LOOK, LOOK, shorter, LOOK)) == [200, 200, 400]


def test_a_body_that_ends_early_is_not_accepted(pipeline):
    assert 202 not in statuses(exchange(pipeline, post(b"Content-Length: %d" % (len(GOOD) + 10))))


def test_header_lines_of_any_length_are_bounded(pipeline):
    assert 202 not in statuses(exchange(pipeline, post(b"X-Long: " + b"a" * (1 << 20), LENGTH)))
    assert pipeline.get("/healthz").status == 200
