"""
compose: the product as docker-compose.yml starts it, in a real engine, and the engine itself.

The engine is the one that DOCKER_HOST names, else one that the tool docker-here starts from Debian's
packages where that tool lies at hand. Whatever a Stack makes (containers, networks, volumes, images)
goes with it; what stays are a few images named fetchback-kept-*, of the packages and the compiled sources,
so that the next run builds only what changed.
"""
import contextlib
import fcntl
import filecmp
import json
import os
import re
import shutil
import signal
import subprocess
import uuid

from . import patience, stage
from .pipeline import ROOT, Pipeline

DOCKER_HERE = os.path.join(os.path.dirname(ROOT), "shared", "tools", "docker-here")
DOCKERFILE = os.path.join("docker", "Dockerfile")
SERVICES = ("redis", "api", "consumer", "responder")
KEPT = ("redis", "build", "runtime")  # stages that hold all packages; in the Dockerfile's order
# A build in here reaches the package registry as this machine does, whatever the engine's own bridge can.
BUILD_ON_HOST = "services:\n" + "".join(
    f"  {name}: {{build: {{context: ., network: host}}}}\n" for name in (*SERVICES, "fetchback")
)


class Absent(Exception):
    """No engine, and why."""


class Engine:
    """All test processes use one; whoever leaves it last stops it, if it was one of us that started it."""

    def __init__(self):
        self.host, self.lock = os.environ.get("DOCKER_HOST"), None
        if not self.host:
            self._start()
        self.env = {**os.environ, "DOCKER_HOST": self.host}
        try:
            self("version")
        except (OSError, AssertionError) as trouble:
            raise Absent(f"no container engine answers at {self.host}: {trouble}") from None
        self.compose = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]

    def _start(self):
        if not os.access(DOCKER_HERE, os.X_OK):
            raise Absent(f"no container engine: DOCKER_HOST is not set, and there is no {DOCKER_HERE}")
        home = os.environ.get("DOCKER_HERE") or os.path.join(
            os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "docker-here")
        os.makedirs(home, exist_ok=True)
        self.pid_file = os.path.join(home, "pid")
        self.ours = os.path.join(home, "started-by-tests")
        self.gate = os.path.join(home, "tests.gate")
        with self._through_the_gate():
            self._enter(home)

    def _enter(self, home):
        self.lock = open(os.path.join(home, "tests.lock"), "a")
        fcntl.flock(self.lock, fcntl.LOCK_SH)
        ran = self._lives(self.pid_file)
        told = subprocess.run([DOCKER_HERE, "start"], capture_output=True, text=True, timeout=600)
        found = re.search(r"DOCKER_HOST=(\S+)", told.stdout)
        if not found:
            raise Absent(f"docker-here starts no engine: {told.stderr.strip()[-500:]}")
        self.host = found.group(1)
        if not ran:
            shutil.copy(self.pid_file, self.ours)

    @contextlib.contextmanager
    def _through_the_gate(self):
        """One at a time enters or leaves."""
        with open(self.gate, "a") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield

    def _is_ours(self):
        try:
            return filecmp.cmp(self.pid_file, self.ours, shallow=False)
        except OSError:
            return False

    @staticmethod
    def _lives(pid_file):
        try:
            with open(pid_file) as file:
                return os.path.exists(f"/proc/{int(file.read())}")
        except (OSError, ValueError):
            return False

    def run(self, *words, cwd=None, timeout=60):
        return subprocess.run(words, env=self.env, cwd=cwd, capture_output=True, text=True, timeout=patience.bound(timeout))

    def __call__(self, *words, **options):
        """docker WORDS…: what it prints; a failure is ours."""
        done = self.run("docker", *words, **options)
        assert done.returncode == 0, f"docker {' '.join(words)}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout.strip()

    def image(self, name):
        return self("image", "ls", "-q", "--no-trunc", name)

    def keep(self, folder):
        """Builds the stages that stay."""
        for target in KEPT:
            self.keep_image(f"fetchback-kept-{target}", folder, "-f", DOCKERFILE, "--target", target)

    def keep_image(self, name, folder, *how):
        """Builds an image that stays, in the place of its predecessor."""
        old = self.image(name)
        self("build", "--force-rm", "--network", "host", *how, "-t", name, ".", cwd=folder, timeout=900)
        if old and old != self.image(name):
            self.run("docker", "rmi", old)  # refused while something else is built upon it

    def close(self):
        if not self.lock:
            return
        with self._through_the_gate(), self.lock:
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # others use it
            if self._is_ours():
                subprocess.run([DOCKER_HERE, "stop"], timeout=60)


def checkout(folder):
    """The sources as a clone has them: nothing built, no .env."""
    def unwanted(parent, names):
        return [name for name in names if name in (".git", "build", "node_modules", ".env", "__pycache__")]

    shutil.copytree(ROOT, folder, ignore=unwanted, dirs_exist_ok=True)


class Stack(Pipeline):
    """The same pipeline to ask; its life is compose's. settings: the lines of its .env."""

    def __init__(self, engine, folder, **settings):
        self.engine, self.folder = engine, str(folder)
        self.name = f"fetchback-test-{uuid.uuid4().hex[:8]}"
        self.port = stage.free_port()
        checkout(self.folder)
        with open(os.path.join(self.folder, ".env"), "w") as env:
            env.writelines(f"{name}={value}\n" for name, value in {**settings, "PORT": self.port}.items())
        with open(os.path.join(self.folder, "build-on-host.yml"), "w") as override:
            override.write(BUILD_ON_HOST)

    def compose(self, *words, timeout=120):
        files = ["-f", "docker-compose.yml", "-f", "build-on-host.yml"]
        return self.engine.run(*self.engine.compose, "-p", self.name, *files, *words, cwd=self.folder, timeout=timeout)

    def does(self, *words, **options):
        done = self.compose(*words, **options)
        assert done.returncode == 0, f"compose {' '.join(words)}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    # -- life

    def build(self):
        self.engine.keep(self.folder)
        self.does("--profile", "command", "build", timeout=300)

    def up(self, *words):
        self.does("up", "-d", *words)
        patience.until(self.ready, self.story, 60)
        return self

    def down(self):
        """Containers and networks go; the volume stays."""
        self.does("down")

    def destroy(self):
        """All that it made, whatever state it is in."""
        self.does("--profile", "command", "down", "--volumes", "--remove-orphans", "--rmi", "local", "--timeout", "1")

    def containers(self, service):
        return self.does("ps", "-q", service).split()

    def inspect(self, container):
        return json.loads(self.engine("inspect", container))[0]

    def pid(self, container):
        return self.inspect(container)["State"]["Pid"]

    def crash(self, container):
        """Kills its process from outside: `docker kill` would count as a stop that somebody wanted."""
        pid = self.pid(container)
        assert pid > 1
        os.kill(pid, signal.SIGKILL)
        patience.until(lambda: self.pid(container) not in (0, pid), lambda: f"{container} to come back\n{self.story()}", 60)

    def gateway(self):
        """This machine's address in the containers' network."""
        (api,) = self.containers("api")
        return self.inspect(api)["NetworkSettings"]["Networks"][f"{self.name}_default"]["Gateway"]

    def healthy(self):
        return all(
            self.inspect(container)["State"]["Health"]["Status"] == "healthy"
            for service in SERVICES for container in self.containers(service)
        )

    def output(self, *words):
        return self.does("logs", "--no-color", *words)

    def story(self):
        return f"{self.does('ps')}\n{self.output('--tail', '40')}"
