"""
patience: every wait of every test is one of these, bounded, and tells what it waited for.

The bounds are what a slow, shared machine may need, not what the product should need: only a
test that is about to fail ever waits that long.
"""
import os
import time

# Sanitizers and noisy machines: all bounds are stretched by this.
STRETCH = float(os.environ.get("FETCHBACK_PATIENCE", "1"))
USUAL = 20.0  # seconds
GLANCE = 0.02  # seconds between two looks at something that can't call us


def bound(seconds):
    return (USUAL if seconds is None else seconds) * STRETCH


def until(condition, what, timeout=None):
    """The first true value of condition(); AssertionError when there is none in time."""
    deadline = time.monotonic() + bound(timeout)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            told = what() if callable(what) else what
            raise AssertionError(f"waited {bound(timeout):g} s in vain: {told}")
        time.sleep(GLANCE)
