"""
webhooks: the Standard Webhooks project's own library (npm), as the judge of our signatures.

    webhooks.verdict(secret, delivery)      "verified", or the library's word against it
"""
import json
import os
import shutil
import subprocess

import pytest

from .. import patience

HERE = os.path.dirname(os.path.abspath(__file__))


def install():
    """As the lock file has it; skips, and says so, where there is no node or npm."""
    missing = [name for name in ("node", "npm") if not shutil.which(name)]
    if missing:
        pytest.skip(f"NOT VERIFIED by the standardwebhooks library: no {' and no '.join(missing)}")
    done = os.path.join(HERE, "node_modules", ".package-lock.json")
    lock = os.path.join(HERE, "package-lock.json")
    if os.path.exists(done) and os.path.getmtime(done) >= os.path.getmtime(lock):
        return
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    run = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr


def verdict(secret, delivery, **changed):
    """changed: what is put in place of the delivery's own headers and body."""
    given = {"secret": secret, "headers": delivery.headers, "body": delivery.body.decode()}
    given.update(changed)
    run = subprocess.run(
        ["node", os.path.join(HERE, "verify.js")], input=json.dumps([given]),
        capture_output=True, text=True, timeout=patience.bound(None),
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)[0]
