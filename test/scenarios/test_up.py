"""`fetchback up`: starts everything, heals it, and takes everything with it when it goes."""
import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess

import pytest

from peers import patience, stage
from peers.pipeline import FINAL, ROOT, SANITIZERS, Pipeline, program
from peers.process import Process
from peers.redis import Client, Redis
from peers.web import Answer, Gate

KINDS = ["redis", "api", "consumer", "responder"]


class Up(Process):
    """The supervisor and what it starts; tells in JSON, so that a test can read it."""

    def __init__(self, folder, *flags, name="up", **settings):
        self.port = stage.free_port()
        self.folder = os.path.join(str(folder), "data")
        env = {"PATH": os.environ["PATH"], "HOME": str(folder), "DATA_DIR": self.folder, "PORT": str(self.port),
               "LOG_FORMAT": "json", **SANITIZERS, **settings}
        super().__init__(name, [program("fetchback"), "up", *flags], str(folder), env)

    def said(self, event, service="up"):
        return [one for one in self.events() if one["service"] == service and one["event"] == event]

    def up(self):
        self.launch()
        patience.until(lambda: self.said("ready") or not self.alive, lambda: f"up to be ready\n{self.story()}")
        assert self.said("ready"), self.story()
        return self

    def pids(self):
        """name -> its latest pid."""
        return dict(re.match(r"(\S+), pid (\d+)$", one["reason"]).groups() for one in self.said("starts"))

    def pid_of(self, name):
        return int(self.pids()[name])

    def replaced(self, name, pid):
        """Waits until another process is called so, and works: its pid."""
        patience.until(lambda: self.pid_of(name) != pid, lambda: f"{name} to be started again")
        new = self.pid_of(name)
        patience.until(lambda: any(one["reason"] == name for one in self.said("works_again")), f"{name} to work again")
        return new

    def redis_call(self, *words):
        client = Client(os.path.join(self.folder, "redis.sock"))
        try:
            return client.call(*words)
        finally:
            client.close()

    @property
    def pipeline(self):
        """What it started, as a Pipeline to ask; its own processes are never begun."""
        asked = Pipeline.__new__(Pipeline)
        asked.port = self.port
        return asked


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def up(cast, tmp_path, programs):
    """up(*flags, **settings): running; whatever it started must be gone at the end."""
    started = []

    def start(*flags, **settings):
        started.append(cast(Up(tmp_path, *flags, name=f"up-{len(started)}", **settings)).up())
        return started[-1]

    yield start
    pids = [int(pid) for one in started for pid in one.pids().values()]
    for one in started:
        if one.alive:
            assert one.end() == 0, one.story()
    patience.until(lambda: not any(map(lives, pids)), "the children to be gone")
    troubles = [trouble for one in started for trouble in one.troubles()]
    assert not troubles, troubles


def install(folder):
    """The programs, elsewhere: where the command is."""
    folder.mkdir()
    shutil.copy(program("fetchback"), folder)
    for name in ("api", "consumer", "responder"):
        os.symlink(program(f"fetchback-{name}"), folder / f"fetchback-{name}")
    return str(folder / "fetchback")


@pytest.fixture
def stand_in(tmp_path, programs):
    """stand_in("consumer", script): an Up whose consumer is this shell script, then (unless it exits) the real one."""

    def make(kind, script):
        folder = tmp_path / "bin"
        command = install(folder)  # it looks for the services beside itself
        actor = folder / f"fetchback-{kind}"
        actor.unlink()
        actor.write_text(f'#!/bin/sh\nif [ "$1" != --check ]; then\n{script}\nfi\nexec {program(f"fetchback-{kind}")} "$@"\n')
        actor.chmod(0o755)
        up = Up(tmp_path)
        up.argv[0] = command
        return up

    return make


def run(*flags, **settings):
    """An `up` that ends by itself: (exit code, what it said)."""
    env = {"PATH": os.environ["PATH"], "LOG_FORMAT": "text", **SANITIZERS, **settings}
    done = subprocess.run([program("fetchback"), "up", *flags], env=env, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=patience.bound(None))
    return done.returncode, done.stdout + done.stderr


# -- the main road


def test_one_command_is_enough(up, provider, receiver):
    pipeline = up().pipeline
    request = pipeline.post(provider.url(), receiver.url())
    assert pipeline.wait(request, "delivered")["state"] in FINAL
    assert len(receiver.requests) == 1


def test_what_was_accepted_is_there_after_a_restart(up, provider, receiver):
    first = up("--consumers", "0")
    request = first.pipeline.post(provider.url(), receiver.url())
    assert first.pipeline.state(request) == "queued"
    assert first.end() == 0
    up().pipeline.wait(request, "delivered")


def test_redis_is_durable_and_as_large_as_told(up):
    running = up("--redis-memory=64MiB")
    wanted = {"appendonly": "yes", "appendfsync": "always", "save": "", "maxmemory-policy": "noeviction",
              "no-appendfsync-on-rewrite": "no", "aof-load-truncated": "yes", "maxmemory": str(64 << 20), "port": "0",
              "auto-aof-rewrite-min-size": str(512 << 20), "hash-max-listpack-value": "1024"}
    for name, value in wanted.items():
        assert running.redis_call("CONFIG", "GET", name)[1].decode() == value, name


def test_each_child_leads_a_group_of_its_own(up):
    running = up("--consumers=2")
    assert set(running.pids()) == {"redis", "api", "consumer-1", "consumer-2", "responder"}
    for pid in map(int, running.pids().values()):
        assert os.getpgid(pid) == pid


# -- healing


@pytest.mark.parametrize("name", KINDS)
def test_what_is_killed_comes_back(up, provider, receiver, name):
    running = up()
    before = {other: running.pid_of(other) for other in KINDS}
    os.kill(before[name], signal.SIGKILL)
    running.replaced(name, before[name])
    for other in KINDS:
        assert (running.pid_of(other) == before[other]) == (other != name), "only the dead one is started again"
    pipeline = running.pipeline
    patience.until(lambda: pipeline.says("/readyz", 200), "the api to be ready again")
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")


def test_the_wait_before_a_restart_doubles(up):
    running, pid = up(), None
    for _ in range(3):
        pid = patience.until(lambda: running.pid_of("consumer") not in (pid, 0) and running.pid_of("consumer"), "a new consumer")
        os.kill(pid, signal.SIGKILL)
        patience.until(lambda: not lives(pid) and running.pid_of("consumer") != pid, "another consumer")
    waits = [int(re.search(r"again in (\d+) ms", one["reason"]).group(1)) for one in running.said("restarts")]
    assert waits == [100, 200, 400]


# -- going


def test_ctrl_c_ends_the_services_before_redis(up):
    running = up()
    running.interrupt()
    assert running.wait() == 0
    order = [one["service"] for one in running.events() if one["event"] == "stopped" or "bye bye" in one.get("reason", "")]
    assert sorted(order[:3]) == ["api", "consumer", "responder"] and order[3:] == ["redis", "up"]


def test_ctrl_c_lets_what_runs_finish(up, provider, receiver):
    running, gate = up(), Gate()
    provider.answers(Answer(hold=gate))
    request = running.pipeline.post(provider.url(), receiver.url())
    provider.holds(1)
    running.interrupt()
    patience.until(lambda: running.said("draining", "consumer"), "the consumer to drain")
    gate.open()
    assert running.wait() == 0
    again = up()
    again.pipeline.wait(request, "delivered")
    assert len(provider.requests) == 1


def test_a_second_ctrl_c_hurries(up, provider, receiver):
    running = up("--drain-timeout=1h")
    provider.answers(Answer(hold=Gate()))
    running.pipeline.post(provider.url(), receiver.url())
    provider.holds(1)
    running.interrupt()
    patience.until(lambda: running.said("draining", "consumer"), "the consumer to drain")
    patience.until(lambda: running.said("hurrying") or running.interrupt(), "a second Ctrl-C to be taken for one")
    assert running.wait(10) == 0


def test_one_that_does_not_stop_is_killed(up):
    running = up("--drain-timeout=0s")
    os.kill(running.pid_of("responder"), signal.SIGSTOP)
    assert running.end() == 0
    assert running.said("kills")


def test_kill_9_takes_all_along_and_the_next_up_goes_on(up):
    running = up()
    pids = [int(pid) for pid in running.pids().values()]
    running.kill()
    # Started at once: it waits for the last of them, and finds the folder and the port free.
    again = up(PORT=str(running.port))
    assert not any(map(lives, pids))
    assert again.end() == 0


def test_a_terminal_that_goes_stops_all(tmp_path, cast, programs):
    running = Up(tmp_path)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(running.argv, env={**running.env, "LOG_FORMAT": "text"}, stdin=theirs, stdout=theirs,
                               stderr=theirs, start_new_session=True)
    os.close(theirs)
    try:
        told = b""
        while b"Ready:" not in told:
            told += os.read(ours, 4096)
        process.send_signal(signal.SIGHUP)
        os.close(ours)
        assert process.wait(patience.bound(None)) == 0
    finally:
        process.poll() is None and process.kill()
    assert b"\x1b[" in told, "a terminal gets colours"


# -- refusals


def test_a_second_up_in_the_same_folder_is_refused(up):
    running = up()
    code, said = run(DATA_DIR=running.folder, PORT=str(stage.free_port()))
    assert code == 100
    assert said.count("\n") == 1 and running.folder in said and str(running.pid) in said


def test_a_port_that_is_taken_is_one_sentence(tmp_path, programs):
    with stage.bound_socket() as taken:
        taken.listen(1)
        port = str(taken.getsockname()[1])
        code, said = run("--port", port, DATA_DIR=str(tmp_path / "data"))
    assert code == 100
    assert said.count("\n") == 1 and port in said
    assert not (tmp_path / "data" / "appendonlydir").exists(), "Redis was started for nothing"


def test_every_port_that_is_taken_is_named_before_anything_starts(tmp_path, programs):
    with contextlib.ExitStack() as held:
        port, metrics = (held.enter_context(stage.bound_socket()) for _ in range(2))
        for one in (port, metrics):
            one.listen(1)
        taken, base = port.getsockname()[1], metrics.getsockname()[1]
        code, said = run(PORT=str(taken), METRICS_PORT=str(base), CONSUMERS="1", RESPONDERS="0", DATA_DIR=str(tmp_path / "data"))
    busy = "can't listen on 127.0.0.1 port {}: it is taken; choose another\n"
    assert (code, said) == (100, "".join(f"fetchback up: {name}: {busy.format(number)}"
                                         for name, number in (("PORT", taken), ("METRICS_PORT", base))))


def test_the_second_worker_has_a_port_too(tmp_path, programs):
    with stage.bound_socket() as taken:
        taken.listen(1)
        port = taken.getsockname()[1]
        code, said = run(PORT=str(stage.free_port()), METRICS_PORT=str(port - 1), DATA_DIR=str(tmp_path / "data"))
    assert code == 100 and f"METRICS_PORT: can't listen on 127.0.0.1 port {port}: " in said
    assert all(line.startswith("fetchback up: METRICS_PORT: ") for line in said.splitlines()), said


def test_the_metrics_keep_off_the_port_of_the_api(tmp_path, programs):
    port = stage.free_port()
    code, said = run(PORT=str(port), METRICS_PORT=str(port), RESPONDERS="0", DATA_DIR=str(tmp_path / "data"))
    assert code == 100
    assert said == f"fetchback up: METRICS_PORT: a worker would take {port}, which is PORT\n"


WRONG = {"CA_FILE": "/nowhere/at/all", "HOSTS_FILE": "/nowhere/at/all", "API_KEYS": "/nowhere/at/all", "DNS_SERVERS": "foo",
         "PUBLIC_URL": "nonsense", "BIND": "::1", "ALLOW_NETWORKS": "10.0.0.0/99", "REDIS_MEMORY": "much"}


def test_what_can_only_be_found_wrong_by_looking_is_told_with_the_rest(tmp_path, programs):
    code, said = run(**WRONG, PORT=str(stage.free_port()), DATA_DIR=str(tmp_path / "data"))
    assert code == 100
    assert sorted(re.match("[A-Z_]*", line).group() for line in said.splitlines()) == sorted(WRONG), said
    assert not (tmp_path / "data").exists()


def test_every_mistake_is_told_once_before_anything_starts(tmp_path, programs):
    code, said = run("--lease", "soon", "--prefetch=many", "--lame=1", "--consumers=many", PORT="http", DATA_DIR=str(tmp_path / "data"))
    assert code == 100
    for name in ("LEASE", "PORT", "PREFETCH", "LAME", "CONSUMERS"):
        assert said.count(name) == 1, said
    assert said.count("\n") == 5
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("flags, word", [(["--no-such-thing=1"], "NO_SUCH_THING"), (["--port"], "--port"), (["once"], "once"),
                                         (["--consumers=1000"], "CONSUMERS"), (["--port=0"], "PORT"), (["--data-dir=/dev/null"], "/dev/null")])
def test_a_wrong_flag_is_one_sentence(tmp_path, programs, flags, word):
    code, said = run(*flags, HOME=str(tmp_path), PORT=str(stage.free_port()))
    assert code == 100 and said.count("\n") == 1 and word in said


def test_a_child_that_refuses_its_settings_ends_all(cast, stand_in):
    running = cast(stand_in("responder", "echo 'my port is taken'; exit 100")).launch()
    assert running.wait() == 100
    assert any(one["reason"] == "my port is taken" for one in running.said("output", "responder"))
    assert not running.said("restarts") and len(running.said("starts")) == len(KINDS)


def test_without_redis_it_says_what_to_install(tmp_path, programs):
    code, said = run(DATA_DIR=str(tmp_path / "data"), PATH="/nowhere", PORT=str(stage.free_port()))
    assert code == 111 and said.count("\n") == 1 and "redis-server" in said


# -- settings


def test_flags_reach_whoever_knows_them(up):
    running = up("--host-concurrency", "7", "--metrics-port=0", "--consumers=2")
    for name in ("consumer", "responder"):
        assert "HOST_CONCURRENCY=7" in running.said("starting", name)[0]["reason"]


def test_the_workers_know_where_the_api_is(up):
    running = up()
    assert f"PUBLIC_URL=http://127.0.0.1:{running.port}" in running.said("starting", "responder")[0]["reason"]


def test_a_hangup_without_a_terminal_is_for_the_services_to_reload(up):
    running = up()
    running.signal(signal.SIGHUP)
    for name in ("consumer", "responder"):
        patience.until(lambda: running.said("reloading", name), f"the {name} to reload")
    assert not running.said("stopping")


def test_each_worker_has_a_metrics_port_of_its_own(up):
    base = stage.free_ports(3)
    running = up(f"--metrics-port={base}", "--consumers=2")
    told = [one["reason"] for kind in ("consumer", "responder") for one in running.said("starting", kind)]
    assert sorted(re.search(r"METRICS_PORT=(\d+)", reason).group(1) for reason in told) == [str(base + i) for i in range(3)]


def test_loopback_is_open_only_while_bind_is_loopback(up):
    running = up()
    assert "127.0.0.0/8" in running.said("loopback_open")[0]["reason"]
    assert [one["event"] for one in running.events()].index("loopback_open") < 3, "in its first lines"
    assert running.end() == 0
    running = up("--bind=0.0.0.0")
    assert not running.said("loopback_open")
    assert "ALLOW_NETWORKS" not in running.said("starting", "consumer")[0]["reason"]
    assert running.end() == 0
    running = up(ALLOW_NETWORKS="10.0.0.0/8")
    assert not running.said("loopback_open")
    assert "ALLOW_NETWORKS=10.0.0.0/8" in running.said("starting", "consumer")[0]["reason"]


def test_with_redis_url_it_starts_none(up, redis, provider, receiver):
    running = up(REDIS_URL=redis.url)
    assert "redis" not in running.pids() and not os.path.exists(running.folder)
    running.pipeline.wait(running.pipeline.post(provider.url(), receiver.url()), "delivered")


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_who_is_not_ready_says_what_it_waits_for(cast, tmp_path, programs, log_format):
    forgetful = cast(Redis(str(tmp_path), name="forgetful", appendonly="no")).start()
    running = cast(Up(tmp_path, REDIS_URL=forgetful.url, LOG_FORMAT=log_format)).launch()
    waits = r"not_ready\W+reason\W+api, after 1\d s: Redis keeps no append-only file"
    patience.until(lambda: re.search(waits, running.log()), running.story, 30)
    assert running.end() == 0


@pytest.mark.parametrize("name", ["x" * 120, "with a space", "what?,é"])
def test_any_folder_will_do(cast, tmp_path, programs, name):
    (tmp_path / name).mkdir()
    running = cast(Up(tmp_path / name)).up()
    url = re.search(r"REDIS_URL=(\"?)unix:(.*?)\1 ", running.said("starting", "api")[0]["reason"] + " ").group(2)
    assert os.path.exists(os.path.join(running.folder, "appendonlydir"))
    assert len(url.encode()) <= 100
    assert running.end() == 0
    assert not os.path.exists(url)


def test_the_example_file_lists_every_setting_with_its_default(programs):
    known = {}
    for words in (["fetchback", "up"], ["fetchback-api"], ["fetchback-consumer"], ["fetchback-responder"]):
        argv = [program(words[0]), *words[1:], "--print-settings"]
        table = subprocess.run(argv, env=SANITIZERS, capture_output=True, text=True, check=True).stdout
        known.update(re.findall(r"^\| `(\w+)` \| (?:`(.*?)`|none) \|", table, re.MULTILINE))
    with open(os.path.join(ROOT, ".env.example")) as example:
        listed = dict(re.findall(r"^#(\w+)=(.*)$", example.read(), re.MULTILINE))
    assert set(listed) == set(known)
    chosen_at_start = {"REDIS_URL", "PUBLIC_URL"}
    assert {name: known[name] for name in known.keys() - chosen_at_start} == {
        name: value for name, value in listed.items() if name not in chosen_at_start}


SKETCH = {  # what stands in .env: what the programs get
    "PORT=33001": {"PORT": "33001"},
    " PORT=33001": {"PORT": "33001"},
    "export PORT=33001\r": {"PORT": "33001"},
    'PORT="33001"': {"PORT": "33001"},
    "PORT='33001' # mine": {"PORT": "33001"},
    "LOG_LEVEL=warn # quiet": {"LOG_LEVEL": "warn"},
    "LOG_LEVEL=warn  ": {"LOG_LEVEL": "warn"},
    "DATA_DIR=/a b#c": {"DATA_DIR": "/a b#c"},
    "ALLOW_HOSTS=\nPORT= # none": {"ALLOW_HOSTS": "", "PORT": ""},
    "SIGNING_SECRET_FILE=$HOME/it": {"SIGNING_SECRET_FILE": "$HOME/it"},
    "LEASE=1m\nHOME=/else": {"LEASE": "1m", "HOME": "/here"},
}
SLIPS = {  # what stands in .env: what is said of it
    "LEASE=1m\n\nHOST_CONCURENCY=8": ".env, line 3: there is no setting HOST_CONCURENCY\n",
    "# fine\nSIGNING_SECRET whsec_x": ".env, line 2 is left out: it is not NAME=value\n",
    "port=1": ".env, line 1 is left out: it is not NAME=value\n",
    "LEASE=1m\nCOMPOSE_PROJECT_NAME=x\nFETCHBACK_API_KEY=k\n\n   # so": "",
}


@pytest.fixture
def dev(tmp_path):
    """dev(text of .env): what ./dev up gives to the command, and what it says before."""
    shutil.copy(os.path.join(ROOT, "dev"), tmp_path)
    shutil.copy(os.path.join(ROOT, ".env.example"), tmp_path)
    built = tmp_path / "build" / "release"
    (built / "bin").mkdir(parents=True)
    (built / "build.ninja").touch()
    tools = tmp_path / "tools"
    tools.mkdir()
    scripts = {
        built / "bin" / "fetchback": "env -0",
        tools / "ninja": ":",
        tools / "redis-server": ":",
        tools / "dpkg-query": "shift 2; for each do printf '%s:installed ' \"$each\"; done",
    }
    for path, script in scripts.items():
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def up(text):
        (tmp_path / ".env").write_text(text)
        env = {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": "/here"}
        done = subprocess.run([tmp_path / "dev", "up"], env=env, capture_output=True, text=True, check=True)
        return dict(pair.split("=", 1) for pair in done.stdout.split("\0") if pair), done.stderr

    return up


@pytest.mark.parametrize("text, wanted", SKETCH.items())
def test_the_file_of_settings_is_read_as_people_write_it(dev, text, wanted):
    given, said = dev(text)
    assert {name: given.get(name) for name in wanted} == wanted
    assert said == (".env, line 2: there is no setting HOME\n" if "HOME" in wanted else "")


@pytest.mark.parametrize("text, told", SLIPS.items())
def test_a_slip_in_the_file_of_settings_is_told_by_its_line(dev, text, told):
    assert dev(text)[1] == told


# -- what it says


def test_text_is_prefixed(tmp_path, cast, programs):
    running = cast(Up(tmp_path, LOG_FORMAT="text"))
    running.launch()
    running.wait_said("Ctrl-C")
    assert running.end() == 0
    told = running.log()
    for name in KINDS:
        assert re.search(rf"^{name} +\| ", told, re.MULTILINE), name
    assert f"POST to http://127.0.0.1:{running.port}\n" in told and "\x1b" not in told


def examples(told):
    """What is to be pasted: {"send": …, "listen": …, "curl": …}, at a port that is free now."""
    commands = re.findall(r"^  (\S.*?(?:\\\n.*?)?)\n", told.partition("Ready:")[2], re.M)
    shared, own = re.search(r"--port (\d+)", commands[0]).group(1), str(stage.free_port())
    ours = lambda command: re.sub(rf"(?<!\d){shared}(?!\d)", own, command)  # in another port they may stand, too
    return {next(word for word in ("send", "listen", "curl") if f"{word} " in command): ours(command)
            for command in commands}


@pytest.mark.parametrize("folder, in_path", [("it's \"here\" $HOME", False), ("bin", True)])
def test_its_examples_go_when_they_are_pasted(tmp_path, cast, programs, folder, in_path):
    command = install(tmp_path / folder)
    running = cast(Up(tmp_path, LOG_FORMAT="text"))
    running.argv[0] = command
    running.env["PATH"] += f":{tmp_path / folder}" if in_path else ""
    running.launch()
    running.wait_said("Ctrl-C")
    pasted = examples(running.log())
    assert pasted["send"].startswith("fetchback ") == in_path
    done = subprocess.run(["/bin/bash", "-c", pasted["send"]], env=running.env, capture_output=True, text=True,
                          timeout=patience.bound(None))
    assert done.returncode == 0 and '"data":{"hello": "world"}}' in done.stdout, done
    listener = cast(Process("listen", ["/bin/bash", "-c", "exec " + pasted["listen"]], str(tmp_path), running.env))
    listener.launch()
    listener.wait_said("listening")
    subprocess.run(["/bin/bash", "-c", pasted["curl"]], env=running.env, check=True, timeout=patience.bound(None))
    listener.wait_said('"data":{"hello": "world"}}')
    assert running.end() == 0


@pytest.mark.parametrize("settings, words", [
    ({"ALLOW_NETWORKS": "10.0.0.0/8"}, ["https://callback.example/", "not open"]),
    ({"DENY_NETWORKS": "127.0.0.0/8"}, ["https://callback.example/", "not open"]),
    ({"API_KEYS": "keys"}, ["--listen", "Authorization: Bearer KEY"]),
])
def test_its_examples_heed_what_is_set(tmp_path, cast, programs, settings, words):
    (tmp_path / "keys").write_text(f"me:{'0' * 64}\n")
    running = cast(Up(tmp_path, LOG_FORMAT="text", **settings))
    if "API_KEYS" in settings:
        running.env["API_KEYS"] = str(tmp_path / "keys")
    running.launch()
    running.wait_said("Ctrl-C")
    told = running.log().partition("Ready:")[2]
    assert all(word in told for word in words) and running.end() == 0


def test_json_is_json_in_every_line(up):
    running = up()
    assert running.end() == 0
    lines = running.log(whole=True).splitlines()
    assert all({"time", "level", "service", "event"} <= set(json.loads(line)) for line in lines)
    assert {"up", *KINDS} == {json.loads(line)["service"] for line in lines}


def test_a_reader_that_is_slow_loses_nothing(stand_in):
    """More than the pipe and our own ceiling hold; meanwhile the api, which has little to say, works."""
    count = 40000
    running = stand_in("consumer", f"seq -f '{{\"n\": %.0f, \"pad\": \"{'.' * 64}\"}}' 0 {count - 1}")
    reading, writing = os.pipe()
    process = subprocess.Popen(running.argv, env=running.env, stdin=subprocess.DEVNULL, stdout=writing,
                               start_new_session=True)
    os.close(writing)
    try:
        patience.until(lambda: running.pipeline.says("/readyz", 200) or process.poll() is not None, "the api to be ready")
        told = b""
        while told.count(b'"event":"ready"') < 4:  # api, consumer, responder, up
            block = os.read(reading, 65536)
            assert block, told[-1000:]
            told += block
        process.send_signal(signal.SIGTERM)
        while block := os.read(reading, 65536):
            told += block
        assert process.wait(patience.bound(None)) == 0
    finally:
        process.poll() is None and process.kill()
        os.close(reading)
    lines = [json.loads(line) for line in told.splitlines()]
    assert [line["n"] for line in lines if "pad" in line] == list(range(count))
    assert lines[-1]["service"] == "up" and lines[-1]["event"] == "stopped"


def test_a_reader_that_stands_still_stops_nothing(stand_in, tmp_path):
    """What the children say at first fills all that may gather. Then up says more than a pipe holds, 250 bytes a start,
    and none of it is read."""
    count, rounds = 64, 6
    starts = tmp_path / "starts"
    running = stand_in("consumer", f"echo >> {starts}; head -c 8000 /dev/zero | tr '\\0' x; echo; exit 1")
    running.argv += ["--consumers", str(count)]
    reading, writing = os.pipe()
    process = subprocess.Popen(running.argv, env=running.env, stdin=subprocess.DEVNULL, stdout=writing,
                               start_new_session=True)
    os.close(writing)
    told = b""
    try:
        patience.until(lambda: starts.exists() and starts.stat().st_size >= count * rounds, "the starts", 60)
        process.send_signal(signal.SIGTERM)
        while block := os.read(reading, 65536):
            told += block
        assert process.wait(patience.bound(None)) == 0
    finally:
        process.poll() is None and process.kill()
        os.close(reading)
    lines = [json.loads(line) for line in told.splitlines()]
    assert any(line["event"] == "log_lost" for line in lines if line["service"] == "up")
    assert lines[-1]["service"] == "up" and lines[-1]["event"] == "stopped"


def test_a_line_of_any_length_arrives(cast, stand_in):
    running = cast(stand_in("consumer", "head -c 100000 /dev/zero | tr '\\0' x; echo")).up()
    assert running.end() == 0
    assert "".join(one["reason"] for one in running.said("output", "consumer")) == "x" * 100000


def test_a_line_cut_by_death_is_a_line(cast, stand_in):
    running = cast(stand_in("consumer", "[ -e once ] || { touch once; printf 'no end'; kill -9 $$; }"))
    running.argv[0:0] = ["env", "-C", running.folder.removesuffix("data")]
    running.up()
    assert running.end() == 0
    assert [one["reason"] for one in running.said("output", "consumer")] == ["no end"]
    assert running.said("starting", "consumer")
