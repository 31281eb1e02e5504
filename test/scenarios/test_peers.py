"""The world of the scenarios, tested by itself: a peer that lies makes every story worthless."""
import gzip
import http.client
import socket
import ssl
import struct
import threading
import time

import pytest

from peers import patience
from peers.process import Process
from peers.proxy import CommandCounter
from peers.redis import Client, RedisError
from peers.web import Answer, Gate


def ask(peer, path="/", method="GET", body=None, headers=None, port=None, context=None):
    kind = http.client.HTTPSConnection if context else http.client.HTTPConnection
    more = {"context": context} if context else {}
    wire = kind("127.0.0.1", port or peer.port, timeout=5, **more)
    try:
        wire.request(method, peer.token + path, body, headers or {})
        answer = wire.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        wire.close()


def test_a_script_is_told_in_order_and_its_end_repeats(provider):
    provider.answers(503, {"a": 1}, "text")
    assert [ask(provider)[0] for _ in range(4)] == [503, 200, 200, 200]
    assert ask(provider)[1] == b"text"


def test_each_path_has_its_own_script(provider):
    provider.serves("/a", 404)
    assert ask(provider, "/a")[0] == 404
    assert ask(provider, "/b")[0] == 200


def test_a_request_is_kept_as_it_came(provider):
    before = time.monotonic()
    ask(provider, "/p?q=1", "POST", b"body", {"X-Two": "b"})
    (seen,) = provider.got(1)
    assert (seen.method, seen.path, seen.query, seen.body) == ("POST", "/p", "q=1", b"body")
    assert seen.headers["x-two"] == "b"
    assert before <= seen.at <= seen.answered <= time.monotonic()


def test_what_strays_in_is_not_counted(provider):
    wire = http.client.HTTPConnection("127.0.0.1", provider.port)
    wire.request("GET", "/someone-elses")
    assert wire.getresponse().status == 410
    wire.close()
    assert provider.requests == []


def test_waiting_in_vain_is_bounded_and_tells(provider):
    ask(provider)
    with pytest.raises(AssertionError, match="got 1 requests, not 2"):
        provider.got(2, timeout=0.1)


def test_a_held_answer_comes_when_the_gate_opens(provider):
    gate, answers = Gate(), []
    provider.answers(Answer(hold=gate))
    clients = [threading.Thread(target=lambda: answers.append(ask(provider)[0])) for _ in range(3)]
    [client.start() for client in clients]
    provider.holds(3)
    assert answers == []
    gate.open()
    [client.join() for client in clients]
    assert answers == [200] * 3 and provider.busiest == 3
    patience.until(lambda: provider.busy == 0, "the provider to be done")


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_framings(provider, framing):
    body = bytes(range(256)) * 2000
    provider.answers(Answer(body=body, framing=framing))
    assert ask(provider)[1] == body


def test_chunks_of_a_request_are_read(provider):
    ask(provider, "/", "POST", iter([b"one", b"two"]))
    assert provider.got(1)[0].body == b"onetwo"


def test_gzip(provider):
    provider.answers(Answer(body=b"x" * 1000, gzip=True))
    _, body, headers = ask(provider)
    assert headers["content-encoding"] == "gzip" and gzip.decompress(body) == b"x" * 1000


def test_an_endless_body_flows_at_the_readers_pace(provider):
    provider.answers(Answer(body=(b"x" * 65536 for _ in range(10**6)), framing="chunked"))
    with socket.create_connection(("127.0.0.1", provider.port)) as wire:
        wire.sendall(f"GET {provider.token}/ HTTP/1.1\r\n\r\n".encode())
        wire.recv(1000)
        provider.holds(1)
    patience.until(lambda: provider.busy == 0, "the peer to notice that nobody reads")
    assert provider.bytes_written < 100 << 20


def test_a_body_is_cut(provider):
    provider.answers(Answer(body=b"0123456789", cut=4))
    with pytest.raises(http.client.IncompleteRead) as short:
        ask(provider)
    assert short.value.partial == b"0123"


def test_a_cut_can_be_a_reset(provider):
    provider.answers(Answer(reset=True))
    with pytest.raises(ConnectionResetError):
        ask(provider)


def test_a_drip_takes_its_time(provider):
    provider.answers(Answer(body=b"0123456789", drip=(2, 0.02)))
    begun = time.monotonic()
    assert ask(provider)[1] == b"0123456789"
    assert time.monotonic() - begun >= 0.08


def test_a_peer_goes_and_comes_back_on_its_port(provider):
    provider.down()
    with pytest.raises(ConnectionRefusedError):
        ask(provider)
    provider.up()
    assert ask(provider)[0] == 200


def test_a_black_hole_does_not_even_refuse(black_hole):
    with socket.socket() as wire:
        wire.settimeout(0.2)
        with pytest.raises(TimeoutError):
            wire.connect(("127.0.0.1", black_hole.port))


def test_the_authority_is_believed_and_no_other(peer, tls):
    secure = peer("secure", tls=tls.context("127.0.0.1"))
    assert ask(secure, context=ssl.create_default_context(cafile=tls.ca_file))[0] == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(secure, context=ssl.create_default_context())


def test_redis_keeps_what_it_was_told_over_a_kill(redis):
    redis.call("SET", "key", b"bytes\r\n\0")
    redis.kill()
    redis.start()
    assert redis.call("GET", "key") == b"bytes\r\n\0"
    assert redis.call("LRANGE", "none", 0, -1) == [] and redis.call("GET", "none") is None
    with pytest.raises(RedisError, match="ERR"):
        redis.call("NONSENSE")
    assert redis.call("CONFIG", "GET", "appendfsync") == [b"appendfsync", b"always"]


def test_a_proxy_passes_everything_on(provider, proxy):
    wire = proxy(("127.0.0.1", provider.port))
    provider.answers(Answer(body=b"y" * 200000))
    assert ask(provider, port=wire.port)[1] == b"y" * 200000
    assert wire.accepted == 1 and wire.bytes_down > 200000


def test_a_proxy_cuts(provider, proxy):
    wire = proxy(("127.0.0.1", provider.port))
    wire.cut_after = 1000
    provider.answers(Answer(body=b"y" * 200000))
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        ask(provider, port=wire.port)


def test_a_proxy_freezes_and_thaws(provider, proxy):
    wire = proxy(("127.0.0.1", provider.port))
    wire.freeze()
    with socket.create_connection(("127.0.0.1", wire.port)) as client:
        client.sendall(f"GET {provider.token}/ HTTP/1.1\r\n\r\n".encode())
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(10)
        wire.thaw()
        client.settimeout(5)
        assert client.recv(8) == b"HTTP/1.1"


def test_a_proxy_counts_commands(redis, proxy):
    wire = proxy(redis.path, unix=True)
    client = Client(wire.path)
    client.call("SET", "a", b"*3\r\n$1\r\n" * 1000)
    assert client.call("GET", "a") == b"*3\r\n$1\r\n" * 1000
    client.close()
    assert wire.commands == 2


def test_commands_are_counted_however_they_are_cut():
    stream = b"*2\r\n$3\r\nGET\r\n$6\r\n*1\r\n$1\r\n*1\r\n$4\r\nPING\r\n"
    for size in range(1, len(stream)):
        counter = CommandCounter()
        assert sum(counter.feed(stream[at : at + size]) for at in range(0, len(stream), size)) == 2


def lookup(dns, name, kind=1):
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    with socket.socket(type=socket.SOCK_DGRAM) as wire:
        wire.settimeout(5)
        head, tail = struct.pack("!6H", 7, 0x100, 1, 0, 0, 0), struct.pack("!HH", kind, 1)
        wire.sendto(head + question + tail, ("127.0.0.1", dns.port))
        answer = wire.recv(512)
    code, count = struct.unpack("!HHH", answer[2:8])[0] & 15, struct.unpack("!HHH", answer[2:8])[2]
    size = 4 if kind == 1 else 16
    return code, sorted(answer[len(answer) - i * (12 + size) - size :][:size] for i in range(count))


def test_names_rebind(dns):
    dns.answers("a.test", ["127.0.0.2"], ["127.0.0.1", "127.0.0.3", "::1"])
    assert lookup(dns, "a.test") == (0, [b"\x7f\0\0\x02"])
    assert lookup(dns, "a.test") == (0, [b"\x7f\0\0\x01", b"\x7f\0\0\x03"])
    assert lookup(dns, "a.test", 28) == (0, [])
    assert lookup(dns, "a.test", 28) == (0, [bytes(15) + b"\x01"])
    assert lookup(dns, "unknown.test") == (3, [])
    assert dns.lookups("a.test") == 2


def test_a_process_tells_when_it_is_ready_and_how_it_ended(cast, tmp_path):
    says_ready = ["bash", "-c", "echo READY >&$READY_FD; exec sleep 60"]
    ready = cast(Process("ready", says_ready, str(tmp_path), ready_fd=True))
    ready.start()
    assert ready.alive and not ready.troubles()
    assert ready.kill() == -9 and not ready.troubles()
    ends = cast(Process("ends", ["bash", "-c", "echo sorry; exit 3"], str(tmp_path), ready_fd=True))
    with pytest.raises(AssertionError, match="ended with 3(.|\n)*sorry"):
        ends.start()
    assert ends.troubles() == ["ends ended by itself with 3"]


def test_a_sanitizer_report_does_not_pass_unseen(cast, tmp_path):
    reports = ["sh", "-c", "echo '==1==ERROR: AddressSanitizer: heap'"]
    sick = cast(Process("sick", reports, str(tmp_path)))
    sick.launch().wait()
    assert any("AddressSanitizer" in trouble for trouble in sick.troubles())
