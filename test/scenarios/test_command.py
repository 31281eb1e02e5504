"""`fetchback send`, `status`, `logs`: for people by default, for programs with --json, and exit codes that mean something."""
import json
import re
import subprocess

import pytest

from peers import patience, stage
from peers.pipeline import SANITIZERS, program
from peers.web import Answer

OK, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 69
NOBODY = "01890a5d-ac96-774b-bcce-b302099a8057"


def run(*words, **env):
    done = subprocess.run([program("fetchback"), *words], env={**SANITIZERS, **env}, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=patience.bound(None))
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def fetchback(pipeline):
    return lambda *words: run(*words, FETCHBACK_API=pipeline.url)


def test_send_prints_the_id_and_nothing_else(fetchback, pipeline, provider, receiver):
    code, out, err = fetchback("send", provider.url(), receiver.url())
    assert (code, err) == (OK, "") and re.fullmatch(r"[0-9a-f-]{36}\n", out)
    pipeline.wait(out.strip(), "delivered")
    assert receiver.requests[0].json["requestId"] == out.strip()


def test_send_for_programs(fetchback, provider, receiver):
    code, out, _ = fetchback("send", "--json", provider.url(), receiver.url())
    assert code == OK and list(json.loads(out)) == ["requestId"]


def test_send_tells_every_fault_and_its_place(fetchback):
    code, out, err = fetchback("send", "ftp://example.com/", "http://user:word@example.com/")
    assert (code, out) == (FAILED, "")
    assert "422" in err and "/provider: " in err and "/callbackUrl: " in err


def test_status_of_one_that_was_delivered(fetchback, pipeline, provider, receiver):
    provider.answers(503, 200)
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    code, out, err = fetchback("status", request)
    assert (code, err) == (OK, "")
    assert re.search(rf"^request +{request}$", out, re.MULTILINE)
    assert re.search(r"^state +delivered$", out, re.MULTILINE)
    assert re.search(r"^fetch +1 .* 503 +http_status", out, re.MULTILINE)
    assert re.search(r"^fetch +2 .* 200 +-$", out, re.MULTILINE)
    assert re.search(r"^deliver +1 .* 200 +-$", out, re.MULTILINE)


def test_status_says_why_it_waits(fetchback, launch, provider, receiver):
    slow = launch(TIME_SCALE=1)
    provider.answers(503)
    request = slow.post(provider.url(), receiver.url())
    patience.until(lambda: slow.record(request)["attempts"], "a first attempt")
    code, out, _ = run("status", request, "--api", slow.url + "/")
    assert code == OK and re.search(r"^waiting +backoff, until 20", out, re.MULTILINE)


def test_status_for_programs_is_what_the_api_says(fetchback, pipeline, provider, receiver):
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    code, out, _ = fetchback("status", request, "--json")
    assert code == OK and json.loads(out) == pipeline.record(request)


def test_logs_tell_the_story_in_order(fetchback, pipeline, provider, receiver):
    provider.answers(503, 200)
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    code, out, _ = fetchback("logs", request)
    lines = out.splitlines()
    assert code == OK and len(lines) == len(pipeline.logs(request))
    assert "accepted" in lines[0] and "delivered" in lines[-1]
    assert any("503" in line and "attempt 1" in line for line in lines)


def test_logs_for_programs(fetchback, pipeline, provider, receiver):
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    code, out, _ = fetchback("logs", "--json", request)
    assert code == OK and [json.loads(line) for line in out.splitlines()] == pipeline.logs(request)


@pytest.mark.parametrize("command", ["status", "logs"])
def test_what_is_not_there_fails(fetchback, command):
    code, out, err = fetchback(command, NOBODY)
    assert (code, out) == (FAILED, "") and "404" in err


@pytest.mark.parametrize("words", [["send", "http://a/", "http://b/"], ["status", NOBODY], ["logs", NOBODY]])
def test_no_api_is_an_exit_code_of_its_own(programs, words):
    with stage.bound_socket() as nobody_listens:
        api = f"http://127.0.0.1:{nobody_listens.getsockname()[1]}"
        code, out, err = run(*words, "--api", api)
    assert (code, out) == (UNREACHABLE, "") and api in err


@pytest.mark.parametrize("words", [[], ["dance"], ["send"], ["send", "http://a/"], ["send", "a", "b", "c"], ["status"],
                                   ["status", "../healthz"], ["logs", NOBODY.upper()], ["logs", NOBODY, "--follow-me"],
                                   ["status", NOBODY, "--api"]])
def test_a_command_line_that_makes_no_sense(programs, words):
    code, out, err = run(*words, FETCHBACK_API="http://127.0.0.1:1")
    assert (code, out) == (USAGE, "") and err


@pytest.mark.parametrize("words", [["--help"], ["help"], *[[name, "--help"] for name in ("up", "send", "status", "logs")]])
def test_help_answers(programs, words):
    code, out, err = run(*words)
    assert (code, err) == (OK, "") and "usage: fetchback" in out


def test_another_server_is_told_from_the_api(peer):
    other = peer("other")
    other.answers(Answer(200, b"<html>"))
    code, out, err = run("status", NOBODY, "--api", other.url(""))
    assert (code, out) == (FAILED, "") and "not as the api does" in err


def test_control_characters_do_not_reach_the_terminal(peer):
    other = peer("other")
    other.answers(Answer(200, json.dumps({"requestId": NOBODY, "state": "failed", "error": {"code": "x", "message": "\x1b[2J\x9b1m"}}).encode()))
    code, out, _ = run("status", NOBODY, "--api", other.url(""))
    assert code == OK and "\x1b" not in out and "\x9b" not in out and "?[2J" in out
