"""
node: programs of node with what npm has for them, each in a folder beside its lock file.

    node.install(folder, "the signatures are not verified")    skips, and says so, without node or npm
    node.run(folder, "judge.js", value)                        what it says to this, both JSON
"""
import json
import os
import shutil
import subprocess

import pytest

from . import patience


def install(folder, otherwise):
    """As the lock file has it."""
    missing = [name for name in ("node", "npm") if not shutil.which(name)]
    if missing:
        pytest.skip(f"{otherwise.upper()}: no {' and no '.join(missing)}")
    done = os.path.join(folder, "node_modules", ".package-lock.json")
    lock = os.path.join(folder, "package-lock.json")
    if os.path.exists(done) and os.path.getmtime(done) >= os.path.getmtime(lock):
        return
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr


def run(folder, script, value):
    run = subprocess.run(
        ["node", os.path.join(folder, script)], input=json.dumps(value),
        capture_output=True, text=True, timeout=patience.bound(60),
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)
