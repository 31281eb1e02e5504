"""
process: a program the test started: it has a log of its own, says READY, and ends by its pid.

It dies with the test run, however that dies (setpriv --pdeathsig).
"""
import json
import os
import re
import select
import signal
import subprocess

from . import patience

SANITIZER = re.compile(r"(ERROR|WARNING): \w+Sanitizer|runtime error:|LeakSanitizer:")
REPORT_LINES = 60


class Process:
    def __init__(self, name, argv, folder, env=None, ready_fd=False):
        self.name = name
        self.argv = argv
        self.env = env
        self.ready_fd = ready_fd
        self.log_path = os.path.join(folder, f"{name}.log")
        self.mark = 0  # byte of the log where the running test began
        self.ended = None  # how a run the test asked to end has ended
        self._process = None

    # -- life

    def start(self):
        """Starts it and, if it tells, waits until it is ready."""
        self.launch()
        if self.ready_fd:
            self.wait_ready()
        return self

    def launch(self):
        """Starts it without waiting for anything."""
        assert not self.alive, f"{self.name} runs already"
        env, told = dict(self.env or os.environ), ()
        if self.ready_fd:
            self._ready, telling = os.pipe()
            env["READY_FD"], told = str(telling), (telling,)
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self.argv],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, pass_fds=told,
                start_new_session=True,
            )
        for descriptor in told:
            os.close(descriptor)
        self.ended = None
        return self

    def wait_ready(self, timeout=None):
        readable, _, _ = select.select([self._ready], [], [], patience.bound(timeout))
        said = os.read(self._ready, 16) if readable else None
        os.close(self._ready)
        if said is None:
            raise AssertionError(f"{self.name} is not ready in time")
        if not said.startswith(b"READY"):
            ended = f"{self.name} ended with {self.wait()} before it was ready"
            raise AssertionError(f"{ended}:\n{self.log()}")

    @property
    def pid(self):
        return self._process.pid

    @property
    def alive(self):
        return self._process is not None and self._process.poll() is None

    def signal(self, number):
        self._process.send_signal(number)

    def kill(self):
        """kill -9, and it is gone."""
        self.ended = "killed"
        self.signal(signal.SIGKILL)
        return self._process.wait(patience.bound(None))

    def term(self):
        self.ended = "asked"
        self.signal(signal.SIGTERM)

    def interrupt(self):
        """As Ctrl-C does."""
        self.ended = "asked"
        self.signal(signal.SIGINT)

    def stop(self):
        self.signal(signal.SIGSTOP)

    def cont(self):
        """Never to one that ends: it would take back the stop by which LeakSanitizer looks at its threads."""
        self.signal(signal.SIGCONT)

    def wait(self, timeout=None):
        """Its exit code; negative: the signal that ended it."""
        try:
            return self._process.wait(patience.bound(timeout))
        except subprocess.TimeoutExpired:
            bound = patience.bound(timeout)
            raise AssertionError(f"{self.name} did not end in {bound:g} s") from None

    def end(self):
        """TERM and wait: its exit code."""
        if self.alive:
            self.cont()
            self.term()
        return self.wait()

    def restart(self):
        if self.alive:
            self.kill()
        return self.start()

    def destroy(self):
        if self.alive:
            self.kill()

    # -- what the kernel knows of it

    @property
    def peak_bytes(self):
        """The most memory it ever had resident."""
        with open(f"/proc/{self.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

    @property
    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    # -- what it said

    def log(self, whole=False):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, "rb") as log:
            log.seek(0 if whole else self.mark)
            return log.read().decode(errors="backslashreplace")

    def events(self):
        """Its lines that are JSON, as objects."""
        whole, _, _ = self.log().rpartition("\n")  # a line under way is not one yet
        return [json.loads(line) for line in whole.split("\n") if line.startswith("{")]

    def wait_events(self, wanted, count):
        """Until so many of its lines are wanted(event): they."""
        found = lambda: [event for event in self.events() if wanted(event)]
        enough = lambda: len(found()) >= count and found()
        return patience.until(enough, f"{count} lines of {self.name}")

    def wait_said(self, words):
        patience.until(lambda: words in self.log(), f"{self.name} to say {words!r}")

    def forget(self):
        """Another test begins: what was said before is not its business."""
        self.mark = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0

    def troubles(self):
        """Sentences on what no test may leave behind unseen."""
        found = []
        match = SANITIZER.search(self.log())
        if match:
            found.append(f"{self.name}: {match.group(0)}, see its log")
        if self._process is not None and not self.alive and self.ended is None:
            found.append(f"{self.name} ended by itself with {self._process.returncode}")
        if self.ended == "asked" and not self.alive and self._process.returncode != 0:
            found.append(f"{self.name} was asked to end and did so with {self._process.returncode}")
        return found

    def story(self):
        lines = self.log().splitlines()
        cut = [f"… {len(lines) - REPORT_LINES} lines before"] if len(lines) > REPORT_LINES else []
        report = [at for at, line in enumerate(lines) if SANITIZER.search(line)]
        shown = lines[report[0] : report[0] + REPORT_LINES] if report else lines[-REPORT_LINES:]
        return "\n".join([f"{self.name} ({self.log_path})", *cut, *shown])
