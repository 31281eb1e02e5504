"""
The fixtures of all scenarios. Each owns its folder, its log and its free port, and ends only what
it started. When a test fails, everybody who was there tells its story below the traceback.
"""
import os
import shutil
import signal
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from peers import openapi  # noqa: E402
from peers import pipeline as product  # noqa: E402
from peers.dns import Dns  # noqa: E402
from peers.heard import by_all, heard  # noqa: E402
from peers.pipeline import Pipeline  # noqa: E402
from peers.proxy import Proxy  # noqa: E402
from peers.redis import Redis  # noqa: E402
from peers.tls import Authority  # noqa: E402
from peers.web import BlackHole, Peer  # noqa: E402

# A run in the background ignores Ctrl-C, and would hand that on to every program it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes more than ten seconds")
    workers = getattr(config, "workerinput", None)  # in a process of pytest -n
    if workers is None:
        config.pluginmanager.register(EveryAnswer())
    elif "heard" in workers:
        heard.share(workers["heard"])


# The files that take longest begin, so that none of them is alone at the end; pytest -n deals out whole files.
FIRST = [f"test_{name}" for name in (
    "compose", "list", "redis_heal", "up", "lifecycle_cancel", "tour", "expiry", "doctor", "command", "kills", "schedule",
    "systemd", "options", "hosts", "dedupe", "outage", "host_rate", "crowd",
)]
LAST = "test_openapi"  # the description of the api is judged by what all others have heard


def place(name):
    return FIRST.index(name) if name in FIRST else len(FIRST) + (name == LAST)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: place(item.path.stem))


class EveryAnswer:
    """
    One more verdict at the end of a run that had test_openapi.py: with pytest -n that file hears no
    more than what came to its own process.
    """

    HOME = "test/scenarios/test_openapi.py"

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="heard-")
        self.has_judge = False
        heard.share(self.folder)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node):
        node.workerinput["heard"] = self.folder

    def pytest_runtest_logreport(self, report):
        judges = report.nodeid.startswith(self.HOME) and report.when == "call"
        self.has_judge |= judges and not report.skipped  # it is where there is no npm

    @pytest.hookimpl(trylast=True)  # when the last process has ended
    def pytest_sessionfinish(self, session):
        if not self.has_judge:
            return
        faults = openapi.verdict(openapi.described(), by_all(self.folder))["faults"]
        if faults:
            text = "\n".join(dict.fromkeys(fault.partition(": ")[2] for fault in faults))
            self.tell(session, "every_answer_of_the_run", text[:20000])

    def tell(self, session, name, text):
        where = (self.HOME, None, name)
        report = pytest.TestReport(f"{self.HOME}::{name}", where, {}, "failed", text, "call")
        session.config.hook.pytest_runtest_logreport(report=report)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_unconfigure(self):
        shutil.rmtree(self.folder)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for teller in item.stash.get(tellers, []):
            report.sections.append(("story", teller.story()))


tellers = pytest.StashKey()


@pytest.fixture
def cast(request):
    """cast(actor): it tells its story if the test fails; its end comes with the test's."""
    request.node.stash[tellers] = []
    actors = []

    def enter(actor):
        actors.append(actor)
        if hasattr(actor, "story"):
            request.node.stash[tellers].append(actor)
        return actor

    yield enter
    for actor in reversed(actors):
        getattr(actor, "destroy", None) and actor.destroy()
        getattr(actor, "close", None) and actor.close()


@pytest.fixture
def provider(cast):
    return cast(Peer("provider"))


@pytest.fixture
def receiver(cast):
    return cast(Peer("receiver"))


@pytest.fixture
def peer(cast):
    """peer(…): one more host; arguments as of web.Peer."""
    return lambda *args, **options: cast(Peer(*args, **options))


@pytest.fixture
def black_hole(cast):
    """A port where connections are never established."""
    return cast(BlackHole())


@pytest.fixture
def redis(cast, tmp_path):
    """A durable Redis of the test's own, running."""
    return cast(Redis(str(tmp_path))).start()


@pytest.fixture
def proxy(cast):
    """proxy(target, unix=False): a wire to it that goes wrong on command."""
    return lambda *args, **options: cast(Proxy(*args, **options))


@pytest.fixture
def dns(cast):
    return cast(Dns())


@pytest.fixture(scope="session")
def tls(tmp_path_factory):
    return Authority(str(tmp_path_factory.mktemp("tls")))


@pytest.fixture(scope="session")
def programs():
    """Skips nothing: without programs there is nothing to test."""
    wanted = [f"fetchback-{name}" for name in ("api", "consumer", "responder")]
    missing = [name for name in wanted if not os.path.exists(product.program(name))]
    assert not missing, f"{product.BIN} lacks {missing}: build first, or set FETCHBACK_BIN"


@pytest.fixture
def launch(cast, tmp_path, programs):
    """launch(LEASE="1s", consumers=2): a pipeline of the test's own, running; must end with 0."""
    launched = []

    def start(ready=True, **options):
        folder = tmp_path / f"pipeline-{len(launched)}"
        folder.mkdir()
        launched.append(cast(Pipeline(folder, **options)))
        return launched[-1].up(ready)

    yield start
    for pipeline in launched:
        pipeline.redis.cont() if pipeline.redis.process.alive else None
        pipeline.down()
    troubles = [trouble for pipeline in launched for trouble in pipeline.troubles()]
    assert not troubles, troubles


class Shared:
    """The pipeline that most tests use together; who finds it broken gets a new one."""

    def __init__(self, make):
        self.make = make
        self.pipeline = None
        self.trouble = None  # that kept it from starting: tried once

    def lend(self):
        assert not self.trouble, self.trouble
        if self.pipeline is None:
            self.start()
        self.pipeline.forget()
        return self.pipeline

    def start(self):
        starting = self.make()
        try:
            self.pipeline = starting.up()
        except BaseException as trouble:
            self.trouble = f"the pipeline did not start: {trouble}"
            starting.destroy()
            raise

    def drop(self):
        broken, self.pipeline = self.pipeline, None
        broken.destroy()

    def end(self):
        if self.pipeline:
            self.pipeline.down()
            troubles = self.pipeline.troubles()
            story = self.pipeline.story() if troubles else ""
            self.drop()
            assert not troubles, f"{troubles}\n{story}"


@pytest.fixture(scope="session")
def shared(tmp_path_factory, programs):
    shared = Shared(lambda: Pipeline(tmp_path_factory.mktemp("shared")))
    yield shared
    shared.end()


@pytest.fixture
def pipeline(request, cast, shared):
    """The running pipeline with the default settings of the tests (a thousand times faster)."""
    running = shared.lend()
    request.node.stash[tellers].append(running)
    yield running
    troubles = running.troubles()
    if troubles:
        shared.drop()
    assert not troubles, troubles
