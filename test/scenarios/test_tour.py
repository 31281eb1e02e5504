"""
docs/TOUR.md is walked here: its commands typed in its terminals, what it shows compared with what comes.

A block ```console is the reader's own terminal. A word behind it names another one, whose last command
goes on: a block without `$` shows what it says next, `^C` ends it. "compose" is section 8, for which an
engine is needed. `…` stands for anything that was left out; ids, times, pids, ports are others each time.
"""
import json
import os
import re
import shlex
import signal
import subprocess

import pytest

from peers import patience, stage
from peers.compose import Stack
from peers.pipeline import BIN, ROOT, SANITIZERS
from peers.process import Process
from test_compose import engine  # noqa: F401  a fixture

YOURS, COMPOSE = "", "compose"
PORTS = ("3001", "8000", "8001", "9101", "9102")
FASTER = {"TIME_SCALE": "4", "LEASE": "2s"}
SOON = {"callback": {"schedule": ["2s", "5s"]}}
INSTEAD = {
    "./dev up": "fetchback up",  # what is built already
    "--callback-schedule 2s,5s": "--callback-schedule 4s,16s",  # 5 s in which one can look at what is in backoff
    "--script 503,503,200": "--script 503,503,200 --file soon.json",  # nobody looks meanwhile: SOON
    "--delay 20s": "--delay 3s",  # a provider less slow
}
ID = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}"
STARTED = r'reason="(\w+), pid (\d+)"'
END = "\x01"
LOOKS = re.compile(r"(fetchback (status|logs) (?!-f)|curl -s 'http|curl -s http\S+$|curl -s http\S+ \|)")


def page(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def blocks():
    """(terminal, its lines) in the page's order."""
    found = re.findall(r"^```console ?(\w*)\n(.*?)^```$", page("docs/TOUR.md"), re.M | re.S)
    return [(terminal, lines.splitlines()) for terminal, lines in found]


def steps(lines):
    """[(command or None, the lines shown below it)]"""
    found = [(None, [])]
    for line in lines:
        if line.startswith("$ ") or line == "^C":
            found.append((line.removeprefix("$ "), []))
        else:
            found[-1][1].append(line)
    return found if found[0][1] else found[1:]


# ---- what was shown against what was said -------------------------------------------------------------

EACH_TIME = [
    (ID, "ID"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"(TIME) +\d+ ", r"\1 MS "),
    (r"\b\d+ ms\b", "MS"),
    (r"(webhook-timestamp:) \d+", r"\1 N"),
    (r"\bpid \d+", "pid N"),
    (r"(127\.0\.0\.1|localhost):\d+", "HOST"),
    (r"^(fetchback_\S+) [\d.]+$", r"\1 N"),
    (r" {2,}", " "),
]


def normal(line):
    for pattern, name in EACH_TIME:
        line = re.sub(pattern, name, line)
    return line.strip()


def fits(shown, said):
    return re.fullmatch(".*".join(map(re.escape, normal(shown).split("…"))), normal(said)) is not None


def unsaid(shown, said):
    """The first line shown that was not said, in any order: several processes speak at once."""
    left = list(said)
    for line in shown:
        if line.strip() in ("", "…"):
            continue
        match = next((one for one in left if fits(line, one)), None)
        if match is None:
            return line
        left.remove(match)
    return None


def unshown(shown, said):
    """The first line said that was not shown, unless the page leaves something out."""
    told = [line for line in shown if line.strip()]
    heard = [line for line in said if line.strip()]
    if "…" in told:
        return None
    return next((line for line in heard if not any(fits(one, line) for one in told)), None)


def test_a_line_that_was_not_said_is_found():
    said = ["2026-11-22T02:22:57.602Z info  consumer  fetched, fetch attempt 1: answered 200", "more"]
    assert unsaid(["2026-01-01T00:00:00.000Z info consumer fetched, fetch attempt 1: answered 200"], said) is None
    assert unsaid(["2026-01-01T00:00:00.000Z info consumer fetched, fetch attempt 2: answered 200"], said)
    assert unsaid(["m…e", "…"], said) is None
    assert unsaid(["more", "more"], said) == "more"
    assert unshown(said[:1], said) == "more"
    assert unshown([*said[:1], "…"], said) is None


# ---- terminals ----------------------------------------------------------------------------------------


class Shell:
    """The reader's own terminal: one bash, a command at a time."""

    def __init__(self, folder, env):
        self.path = os.path.join(str(folder), "terminal.log")
        self.told = 0
        with open(self.path, "wb") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", "/bin/bash"], stdin=subprocess.PIPE, stdout=log, stderr=log,
                env=env, cwd=folder, start_new_session=True,
            )

    def text(self):
        with open(self.path, encoding="utf-8") as log:
            return log.read()

    def type(self, command, timeout=None):
        """What it said."""
        self.process.stdin.write(f"{{ {command}\n}} </dev/null; code=$?; echo '{END}'; (exit $code)\n".encode())
        self.process.stdin.flush()
        patience.until(lambda: END in self.text()[self.told:], lambda: f"{command} to end:\n{self.story()}", timeout)
        said = self.text()[self.told:].partition(END)[0]
        self.told = len(self.text())
        return said.splitlines()

    def story(self):
        return f"the reader's terminal:\n{self.text()[-3000:]}"

    def destroy(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()


class Tour:
    """One walk. today[what the page says] is what is typed in its stead."""

    def __init__(self, cast, folder):
        self.cast, self.folder = cast, str(folder)
        self.today = {}
        self.terminals = {}
        base = stage.free_ports(2)
        self.ports = dict(zip(PORTS, [*(str(stage.free_port()) for _ in PORTS[:3]), str(base), str(base + 1)]))
        with open(os.path.join(self.folder, "soon.json"), "w") as file:
            json.dump(SOON, file)
        self.env = {
            "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": self.folder, **SANITIZERS, **FASTER,
            "DATA_DIR": os.path.join(self.folder, "data"), "PORT": self.ports["3001"],
            "FETCHBACK_API": f"http://127.0.0.1:{self.ports['3001']}",
        }

    def mine(self, command):
        """In one pass and by whole words: pids and parts of ids of today may look like ports and pids of the page."""
        instead = {**INSTEAD, **self.today, **self.ports}
        words = "|".join(map(re.escape, instead))
        return re.sub(rf"(?<!\w)({words})(?!\w)", lambda word: instead[word.group()], command)

    def learn(self, shown, said):
        for pattern in (ID, STARTED):
            for told, today in zip(*(dict.fromkeys(re.findall(pattern, "\n".join(text))) for text in (shown, said))):
                if pattern == STARTED:
                    (_, told), (_, today) = told, today
                    told, today = f"kill -9 {told}", f"kill -9 {today}"
                self.today[told] = today

    # -- the reader's own

    def type(self, shell, command, shown, timeout=None):
        today = self.mine(command)

        def attempt():
            said = shell.type(today, timeout)
            nonlocal heard
            heard = said
            return unsaid(shown, said) is None and unshown(shown, said) is None

        heard = []
        if LOOKS.match(command):  # what it looks at may be on its way
            patience.until(attempt, lambda: self.difference(command, shown, heard))
        else:
            assert attempt(), self.difference(command, shown, heard)
        self.learn(shown, heard)

    @staticmethod
    def difference(command, shown, said):
        told = "\n".join(said)
        return f"{command}\nnot said: {unsaid(shown, said)!r}\nnot shown: {unshown(shown, said)!r}\nit said:\n{told}"

    # -- those that go on

    def begin(self, terminal, commands):
        *first, last = map(self.mine, commands)
        script = "".join(f"{command} && " for command in first) + f"exec {last}"
        argv = ["/usr/bin/env", "-C", self.folder, "/bin/bash", "-c", script]
        self.terminals[terminal] = process = self.cast(Process(terminal, argv, self.folder, self.env))
        process.forget()  # what this terminal said before
        process.launch()
        if "http.server" in last:
            process.wait_said("Serving HTTP")

    def listen(self, terminal, shown):
        process = self.terminals[terminal]
        said = lambda: process.log().splitlines()
        what = lambda: f"{terminal} to say {unsaid(shown, said())!r}:\n{process.log()}"
        patience.until(lambda: unsaid(shown, said()) is None, what, 60)
        self.learn(shown, said())
        process.forget()

    def watch(self, terminal, lines):
        commands = [command for command, _ in steps(lines) if command not in (None, "^C")]
        if commands:
            self.begin(terminal, commands)
        for command, shown in steps(lines):
            if command == "^C":
                self.terminals[terminal].interrupt()
                assert self.terminals[terminal].wait(30) == 0, self.terminals[terminal].story()
            self.listen(terminal, shown)


@pytest.fixture
def tour(cast, tmp_path, programs):
    walk = Tour(cast, tmp_path)
    yield walk
    ended = walk.terminals.pop("round", None)  # by itself, as the page wants
    troubles = [trouble for process in walk.terminals.values() for trouble in process.troubles()]
    assert not troubles, troubles
    assert ended is None or ended.wait() == 0, ended.story()


@pytest.mark.long
def test_the_tour_goes_as_told(tour, cast, tmp_path):
    shell = cast(Shell(tmp_path, tour.env))
    for terminal, lines in blocks():
        if terminal == YOURS:
            for command, shown in steps(lines):
                tour.type(shell, command, shown, 60)
        elif terminal != COMPOSE:
            tour.watch(terminal, lines)
    tour.terminals["round"].wait()
    assert not any(process.alive for process in tour.terminals.values()), "the page leaves something running"


# ---- section 8 ----------------------------------------------------------------------------------------


def little_server(port):
    """Who is fetched and called, outside the containers."""
    return re.search(r"^```sh\n(fetchback listen .*)$", page("docs/TOUR.md"), re.M).group(1).replace("8000", port)


@pytest.mark.long
def test_the_containers_of_the_tour_go_as_told(engine, tour, cast, tmp_path):  # noqa: F811
    folder = tmp_path / "clone"
    folder.mkdir()
    stack = Stack(engine, folder)
    stack.port = int(tour.ports["3001"])  # of the environment, which wins over its .env
    peer = cast(Process("peer", ["/bin/bash", "-c", "exec " + little_server(tour.ports["8000"])], str(tmp_path), tour.env))
    compose = shlex.join([*engine.compose, "-p", stack.name, "-f", "docker-compose.yml", "-f", "build-on-host.yml"])
    tour.today["docker compose"] = compose
    env = {**engine.env, "PORT": str(stack.port)}
    walk = [step for terminal, lines in blocks() if terminal == COMPOSE for step in steps(lines)]
    try:
        stack.build()
        peer.launch()
        shell = cast(Shell(folder, env))
        for command, shown in walk:
            if command.startswith("curl"):
                patience.until(stack.ready, stack.story, 60)
            tour.type(shell, command, shown, 180)
    finally:
        stack.destroy()
