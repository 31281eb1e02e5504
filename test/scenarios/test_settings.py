"""Settings: all mistakes are named together, with exit code 100; each is a clear sentence."""
import os
import subprocess

import pytest

from peers import patience, stage
from peers.pipeline import SANITIZERS, program

SERVICES = ["api", "consumer", "responder"]


def run(name, *flags, **settings):
    """Ends by itself: (exit code, all it said)."""
    env = {"PATH": os.environ["PATH"], **SANITIZERS, **settings}
    done = subprocess.run(
        [program(f"fetchback-{name}"), *flags], env=env, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=patience.bound(None),
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_every_mistake_is_named_at_once(programs, name):
    mistakes = {"LOG_FORMAT": "xml", "TIME_SCALE": "fast", "ALLOW_NETWORKS": "10.0.0.0/99"}
    code, said = run(name, "--log-level=loud", "--no-such-thing", **mistakes)
    assert code == 100
    for mistake in ("LOG_LEVEL", "--no-such-thing", *mistakes):
        assert mistake in said, said


@pytest.mark.parametrize("name", SERVICES)
def test_help_answers(programs, name):
    code, said = run(name, "--help")
    assert code == 0 and "--redis-url" in said and "--log-level" in said


@pytest.mark.parametrize("name", SERVICES)
def test_faster_time_is_refused_unless_redis_is_local(programs, name):
    far = {"REDIS_URL": "redis://192.0.2.1:6379", "TIME_SCALE": "10"}
    code, said = run(name, PORT=str(stage.free_port()), **far)
    assert code == 100 and "TIME_SCALE" in said


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1", "redis://", "unix:", "redis://127.0.0.1:99999", "nonsense"]
)
def test_a_wrong_redis_url_is_a_wrong_setting(programs, url):
    code, said = run("consumer", REDIS_URL=url)
    assert code == 100 and "REDIS_URL" in said


def test_a_busy_port_is_one_clear_sentence(programs, redis):
    with stage.bound_socket() as taken:
        taken.listen(1)
        port = str(taken.getsockname()[1])
        code, said = run("api", REDIS_URL=redis.url, PORT=port)
    assert code == 100 and port in said and "taken" in said


def test_flags_win_over_the_environment(programs, redis):
    with stage.bound_socket() as taken:
        taken.listen(1)
        port = str(taken.getsockname()[1])
        code, said = run("api", "--port", port, REDIS_URL=redis.url, PORT=str(stage.free_port()))
    assert code == 100 and port in said


UNREADABLE = "can't read /nowhere/at/all: No such file or directory"
ADDRESSES = "it must be addresses, such as 9.9.9.9,127.0.0.1:5353,[::1]:53, without spaces"
SERVERS = ["foo", "1.1.1", "127.0.0.1,", "127.0.0.1, 9.9.9.9", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:0", "[::1", "[::1]", "[::1]x",
           "[127.0.0.1]:53", "9" * 99]
WORKERS = ["consumer", "responder"]
MISTAKES = [  # setting, value, who reads it, what is said
    ("API_KEYS", "/nowhere/at/all", ["api", "responder"], UNREADABLE),
    ("HOSTS_FILE", "/nowhere/at/all", WORKERS, UNREADABLE),
    ("CA_FILE", "/nowhere/at/all", WORKERS, UNREADABLE),
    ("CA_FILE", "/etc/passwd", WORKERS, "can't read /etc/passwd: it holds no certificates in PEM"),
    *(("DNS_SERVERS", servers, SERVICES, ADDRESSES) for servers in SERVERS),
    ("PUBLIC_URL", "nonsense", SERVICES, "it must begin with http:// or https://"),
    ("PUBLIC_URL", "http://a.example:99999", SERVICES, "it has a port that is no number from 1 to 65535"),
    ("PUBLIC_URL", "http://a.example/?x", SERVICES, "paths are added to it, so it may have neither a query nor a fragment"),
    ("BIND", "::1", SERVICES, "it must be an IPv4 address, such as 127.0.0.1, or 0.0.0.0 for all"),
    ("BIND", "localhost", SERVICES, "it must be an IPv4 address, such as 127.0.0.1, or 0.0.0.0 for all"),
]


@pytest.mark.parametrize("setting, value, names, sentence", MISTAKES)
def test_a_value_that_cannot_work_is_one_sentence_before_anything_starts(programs, setting, value, names, sentence):
    for name in names:
        assert run(name, **{setting: value}) == (100, f"{setting}: {sentence}.\n")


def test_values_that_can_work_are_taken(programs, tls):
    servers = "9.9.9.9,127.0.0.1:5353,::1,[::1]:53"
    for name in SERVICES:
        settings = {"DNS_SERVERS": servers, "PUBLIC_URL": "https://a.example:8443/under/", "BIND": "0.0.0.0", "CA_FILE": tls.ca_file}
        code, said = run(name, "--check", **settings)
        assert code == 0 and f"DNS_SERVERS={servers}\n" in said, said
