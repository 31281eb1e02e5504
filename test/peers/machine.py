"""
machine: a Debian with systemd as its first process, in a container, where docs/DEPLOY.md is followed.

    machine.install()        the page's own commands
    machine.systemctl("stop", "fetchback.target")
"""
import os
import re
import uuid

from . import patience, stage
from .compose import Absent, checkout
from .pipeline import ROOT, Pipeline

# What systemd needs to set up its services' sandboxes: more than a container usually has.
RIGHTS = ("--cap-add=SYS_ADMIN", "--cap-add=NET_ADMIN", "--cap-add=SYS_PTRACE", "--security-opt=seccomp=unconfined",
          "--security-opt=apparmor=unconfined", "--security-opt=systempaths=unconfined", "--cgroupns=private")
IMAGE = "fetchback-kept-machine"


def page_commands():
    """The commands of the page's part on systemd; the programs are in the machine already."""
    with open(os.path.join(ROOT, "docs", "DEPLOY.md")) as page:
        block = re.search(r"```sh\n([^`]*systemd-sysusers[^`]*)```", page.read()).group(1)
    return "".join(line for line in block.splitlines(True) if not line.startswith("cmake "))


class Machine(Pipeline):
    """The same pipeline to ask; its life is systemd's."""

    def __init__(self, engine, folder):
        self.engine, self.folder = engine, str(folder)
        self.name = f"fetchback-test-{uuid.uuid4().hex[:8]}"
        self.port = stage.free_port()
        checkout(self.folder)

    def boot(self):
        self.engine.keep(self.folder)
        self.engine.keep_image(IMAGE, self.folder, "-f", os.path.join("test", "peers", "machine.Dockerfile"))
        started = self.engine.run(
            "docker", "run", "--detach", "--name", self.name, *RIGHTS, "--tmpfs", "/run", "--tmpfs", "/tmp",
            "--volume", f"{self.folder}:/source:ro", "--env", "container=docker", "--publish", f"127.0.0.1:{self.port}:3001", IMAGE)
        if started.returncode != 0:
            raise Absent(f"this engine gives no container what systemd needs: {started.stderr.strip()}")
        try:
            patience.until(lambda: "running" in self.runs("systemctl", "is-system-running").stdout, "systemd to run")
        except AssertionError:
            raise Absent(f"systemd does not run in a container here: {self.engine('logs', self.name)}") from None
        return self

    def destroy(self):
        self.engine.run("docker", "rm", "--force", "--volumes", self.name)

    def runs(self, *words):
        return self.engine.run("docker", "exec", self.name, *words)

    def does(self, *words):
        return self.engine("exec", self.name, *words)

    def systemctl(self, *words):
        return self.does("systemctl", *words)

    def gateway(self):
        """The tests' machine, as this one sees it."""
        return self.engine("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}", self.name)

    def install(self, **settings):
        lines = "".join(f"{name}={value}\n" for name, value in settings.items())
        self.does("sh", "-ec", 'mkdir /etc/fetchback && printf %s "$1" >/etc/fetchback/fetchback.env', "sh", lines)
        done = self.runs("sh", "-ec", page_commands())
        assert done.returncode == 0, f"{done.stderr}\n{self.story()}"
        patience.until(self.ready, self.story)

    def pid(self, unit):
        return int(self.systemctl("show", "--property", "MainPID", "--value", unit))

    def crash(self, unit):
        """Until systemd has started it again."""
        pid = self.pid(unit)
        self.systemctl("kill", "--signal", "KILL", unit)
        patience.until(lambda: self.pid(unit) not in (0, pid), lambda: f"{unit} to come back\n{self.story()}")

    def story(self):
        return self.runs("journalctl", "--no-pager", "--lines", "60", "--unit", "fetchback*").stdout
