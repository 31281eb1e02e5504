"""`fetchback listen` and `send --listen`: a receiver for trying out, alone and in a whole round."""
import base64
import http.client
import json
import re
import subprocess
import time

import pytest

from peers import patience, stage
from peers.pipeline import SANITIZERS, program
from peers.process import Process

OK, FAILED, USAGE, UNDELIVERED, UNREACHABLE = 0, 1, 2, 3, 69


class Listener(Process):
    """The command, listening."""

    def __init__(self, folder, *words):
        super().__init__("listen", [program("fetchback"), "listen", *words], folder, {**SANITIZERS})
        self.launch()
        self.wait_said("\n")
        self.port = int(re.search(r"http://[\d.]+:(\d+)/", self.log()).group(1))

    def post(self, body=b"", path="/", to="127.0.0.1", **headers):
        connection = http.client.HTTPConnection(to, self.port, timeout=patience.bound(None))
        connection.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        status = connection.getresponse().status
        connection.close()
        return status

    def arrivals(self, count):
        return self.wait_events(lambda event: "method" in event, count)


@pytest.fixture
def listen(cast, tmp_path, programs):
    return lambda *words: cast(Listener(str(tmp_path), *words))


def send(pipeline, *words, api=None):
    done = subprocess.run([program("fetchback"), "send", "--listen", "--api", api or pipeline.url, *words], env={**SANITIZERS},
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=patience.bound(None))
    return done.returncode, done.stdout, done.stderr


def test_what_arrives_is_shown(listen):
    listener = listen()
    assert listener.post(b'{"a":1}', "/hook?x=1", webhook_id="msg-1", fetchback_status="200", Cookie="c") == 200
    listener.wait_said('{"a":1}')
    assert re.search(r"POST /hook\?x=1, answer 200\n", listener.log())
    assert "  webhook-id: msg-1\n" in listener.log() and "  fetchback-status: 200\n" in listener.log()
    assert "Cookie" not in listener.log()


def test_what_arrives_for_programs(listen):
    listener = listen("--json")
    assert listener.events() == [{"listening": f"http://127.0.0.1:{listener.port}/"}]
    listener.post('{"ü":1}'.encode(), "/hook?x=1", X_Own="mine")
    listener.post(b"\xff\x00")
    first, second = listener.arrivals(2)
    assert (first["method"], first["path"], first["query"], first["status"]) == ("POST", "/hook", "x=1", 200)
    assert first["headers"]["X-Own"] == "mine" and first["body"] == '{"ü":1}'
    assert base64.b64decode(second["bodyBase64"]) == b"\xff\x00" and "body" not in second


@pytest.mark.parametrize("words, answers", [(["--status", "410"], [410, 410]), (["--script", "503,500,200"], [503, 500, 200, 200])])
def test_it_answers_as_told(listen, words, answers):
    listener = listen(*words)
    assert [listener.post() for _ in answers] == answers


def test_it_can_be_the_provider_too(pipeline, listen):
    listener = listen("--script", "503,200,204", "--body", '{"n":1}', "--json")
    request = pipeline.post(f"http://127.0.0.1:{listener.port}/", f"http://127.0.0.1:{listener.port}/")
    pipeline.wait(request, "delivered")
    assert [(one["method"], one["status"]) for one in listener.arrivals(3)] == [("GET", 503), ("GET", 200), ("POST", 204)]
    assert json.loads(listener.arrivals(3)[2]["body"]) == {"requestId": request, "data": {"n": 1}}


def test_it_takes_its_time(listen):
    listener = listen("--delay", "300ms")
    begun = time.monotonic()
    assert listener.post() == 200
    assert time.monotonic() - begun >= 0.3


def test_it_ends_when_asked_though_an_answer_is_awaited(listen):
    listener, begun = listen("--delay", "1h", "--json"), time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", listener.port, timeout=patience.bound(None))
    connection.request("POST", "/", b"x")
    listener.arrivals(1)
    listener.interrupt()
    assert connection.getresponse().status == 200
    assert listener.wait() == OK and time.monotonic() - begun < 10 * patience.STRETCH


def test_control_characters_do_not_reach_the_terminal(listen):
    listener = listen()
    listener.post(b"\x1b[2J\xc2\x9bend", webhook_id="\x9b1m")
    listener.wait_said("end")
    assert "\x1b" not in listener.log() and "\x9b" not in listener.log()


def test_a_body_has_its_lines_and_none_of_ours(listen):
    listener = listen()
    listener.post(b'{\n\t"a": 1\r\n}\n  verified\rx\n\n2026-11-22T02:23:31.474Z POST /hook, answer 200\nend\n')
    listener.wait_said("end\n")
    assert listener.log().split(", answer 200\n", 1)[1].split("\n")[:-1] == [
        "  | {", '  | \t"a": 1', "  | }", "  |   verified?x", "  | ",
        "  | 2026-11-22T02:23:31.474Z POST /hook, answer 200", "  | end",
    ]


def test_a_large_body_is_shown_in_part(listen):
    listener = listen()
    body = "ü" * 10000
    listener.post(body.encode())
    listener.wait_said("20000 bytes")
    assert "ü" * 2048 in listener.log() and "ü" * 2049 not in listener.log()


def test_a_port_of_its_own(listen, tmp_path):
    port = stage.free_port()
    assert listen("--port", str(port)).port == port
    taken = Process("taken", [program("fetchback"), "listen", "--port", str(port)], str(tmp_path), {**SANITIZERS}).launch()
    assert taken.wait() == FAILED and "taken by another program" in taken.log()


@pytest.mark.parametrize("words, bound, reached, refused", [
    ([], "127.0.0.1", ["127.0.0.1"], ["127.0.0.2"]),
    (["--bind", "127.0.0.2"], "127.0.0.2", ["127.0.0.2"], ["127.0.0.1"]),
    (["--bind", "0.0.0.0"], "0.0.0.0", ["127.0.0.1", "127.0.0.2"], []),
])
def test_an_address_of_its_own(listen, words, bound, reached, refused):
    listener = listen("--json", *words)
    assert listener.events() == [{"listening": f"http://{bound}:{listener.port}/"}]
    assert [listener.post(to=address) for address in reached] == [200] * len(reached)
    for address in refused:
        with pytest.raises(ConnectionRefusedError):
            listener.post(to=address)


def test_an_address_of_somebody_else(programs, tmp_path):
    wrong = Process("wrong", [program("fetchback"), "listen", "--bind", "192.0.2.1"], str(tmp_path), {**SANITIZERS}).launch()
    assert wrong.wait() == FAILED and "192.0.2.1 is no address of this machine" in wrong.log()


@pytest.mark.parametrize("words", [["x"], ["--status", "199"], ["--status", "600"], ["--status", "200,500"], ["--script", ""],
                                   ["--script", "200,"], ["--script", "200,x"], ["--status", "200", "--script", "200"],
                                   ["--delay", "soon"], ["--delay", "2h"], ["--port", "65536"], ["--port", "-1"], ["--port"],
                                   ["--bind", "localhost"], ["--bind", "::1"], ["--bind", ""]])
def test_a_command_line_that_makes_no_sense(programs, tmp_path, words):
    wrong = Process("wrong", [program("fetchback"), "listen", *words], str(tmp_path), {**SANITIZERS}).launch()
    assert wrong.wait() == USAGE and "fetchback listen: " in wrong.log()


# -- a whole round

def test_a_round_shows_the_story_and_what_arrived(pipeline, provider):
    provider.answers(503, {"hello": "world"})
    code, out, err = send(pipeline, provider.url())
    assert (code, err) == (OK, "")
    request, story = out.split("\n", 1)
    assert re.fullmatch(r"[0-9a-f-]{36}", request)
    for word in ("accepted", "retry, fetch attempt 1", "fetched", "POST /, answer 200", f"webhook-id: {request}", "delivered"):
        assert word in story, word
    assert f'{{"requestId":"{request}","data":{{"hello": "world"}}}}' in story


def test_a_round_for_programs(pipeline, provider):
    provider.answers({"hello": "world"})
    code, out, _ = send(pipeline, provider.url(), "--json", "--script", "503,200")
    lines = [json.loads(line) for line in out.splitlines()]
    request = lines[0]["requestId"]
    assert code == OK and [line for line in lines if "event" in line] == pipeline.logs(request)
    arrivals = [line for line in lines if "method" in line]
    assert [line["status"] for line in arrivals] == [503, 200]
    assert [line["headers"]["webhook-attempt"] for line in arrivals] == ["1", "2"]
    assert json.loads(arrivals[1]["body"]) == {"requestId": request, "data": {"hello": "world"}}


def test_the_id_stands_before_what_arrives_for_it(pipeline, provider, proxy):
    """The callback is faster than the 202."""
    wire = proxy(("127.0.0.1", pipeline.port))
    wire.delay = 0.3  # seconds, each way
    code, out, _ = send(pipeline, provider.url(), "--json", api=f"http://127.0.0.1:{wire.port}")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == OK and "requestId" in lines[0] and [line for line in lines if "method" in line], out


def test_a_round_that_fails(pipeline, provider):
    code, out, _ = send(pipeline, provider.url(), "--status", "410")
    assert code == UNDELIVERED and "failed" in out


def test_a_round_that_is_refused(pipeline):
    code, out, err = send(pipeline, "ftp://example.com/")
    assert (code, out) == (FAILED, "") and "/provider: " in err


def test_a_round_needs_an_api(programs):
    class Nobody:
        pass

    with stage.bound_socket() as nobody_listens:
        Nobody.url = f"http://127.0.0.1:{nobody_listens.getsockname()[1]}"
        assert send(Nobody, "http://a.example/")[0] == UNREACHABLE


def test_a_round_with_a_callback_makes_no_sense(pipeline):
    assert send(pipeline, "http://a.example/", "http://b.example/")[0] == USAGE
