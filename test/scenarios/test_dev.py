"""`./dev up` once more, in a clone that is built: it only starts."""
import os
import shutil
import signal

import pytest

from peers import patience, stage
from peers.pipeline import BIN, ROOT, SANITIZERS, Pipeline
from peers.process import Process

CHANGES = ["apt-get", "sudo", "tee", "cmake", "cc", "c++", "gcc", "g++", "clang"]  # what installs, configures, compiles


def write_program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def clone(tmp_path, programs):
    """A clone whose build/release is the build that is tested here."""
    built = os.path.dirname(BIN)
    assert os.path.exists(os.path.join(built, "build.ninja")), f"{BIN} is no build of ninja's"
    folder = tmp_path / "clone"
    (folder / "build").mkdir(parents=True)
    shutil.copy(os.path.join(ROOT, "dev"), folder)
    shutil.copy(os.path.join(ROOT, ".env.example"), folder)
    os.symlink(built, folder / "build" / "release")
    return folder


@pytest.fixture
def stand_ins(tmp_path, clone):
    """What could change anything only notes that it was called. ninja looks at what there is to do, and does nothing:
    it may do so by a manifest of another name alone, since it would begin with making build.ninja anew."""
    folder, ninja = tmp_path / "stand-ins", shutil.which("ninja")
    folder.mkdir()
    for name in CHANGES:
        write_program(folder / name, f'echo "{name} $*" >> {tmp_path}/changes\nexit 1')
    shutil.copy(clone / "build" / "release" / "build.ninja", tmp_path / "manifest")
    write_program(folder / "ninja", f'exec {ninja} -n -f {tmp_path}/manifest "$@"')
    return str(folder)


def test_a_second_up_builds_nothing_and_installs_nothing(cast, tmp_path, clone, stand_ins, provider, receiver):
    asked = Pipeline.__new__(Pipeline)
    asked.port = stage.free_port()
    env = {"PATH": f"{stand_ins}:{os.environ['PATH']}", "HOME": str(tmp_path), "DATA_DIR": str(tmp_path / "data"),
           "PORT": str(asked.port), "LOG_FORMAT": "json", **SANITIZERS}
    dev = cast(Process("dev", [str(clone / "dev"), "up"], str(tmp_path), env)).launch()
    ready = lambda: any(one["service"] == "up" and one["event"] == "ready" for one in dev.events())
    patience.until(lambda: ready() or not dev.alive, lambda: f"up to be ready\n{dev.story()}")
    assert not (tmp_path / "changes").exists(), (tmp_path / "changes").read_text()
    assert dev.alive and "ninja: no work to do." in dev.log(), dev.story()
    asked.wait(asked.post(provider.url(), receiver.url()), "delivered")
    dev.signal(signal.SIGINT)
    assert dev.wait() == 0, "it is `fetchback up` itself that Ctrl-C reaches"
