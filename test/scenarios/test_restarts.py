"""How often `fetchback up` tries what dies at once: test_child.c has the rest, with a clock of its own."""
import os
import re

from peers import patience
from test_up import Up, stand_in  # noqa: F401


def waits(up):
    """How long it was before each further start, ms."""
    return [int(re.search(r"again in (\d+) ms$", one["reason"]).group(1)) for one in up.said("restarts")]


def test_each_kind_has_its_ceiling(stand_in, cast, tmp_path):  # noqa: F811
    """Both at once, since the longer one takes 6.3 s: the sum of the waits up to the ceiling."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "redis-server").write_text("#!/bin/sh\nexit 1\n")
    (other / "redis-server").chmod(0o755)
    redis = cast(Up(other, PATH=f"{other}:{os.environ['PATH']}"))
    consumer = cast(stand_in("consumer", "exit 1"))
    wanted = {redis: [100, 200, 400, 800, 1000, 1000], consumer: [100, 200, 400, 800, 1600, 3200, 5000]}
    for up in wanted:
        up.launch()
    for up, ms in wanted.items():
        patience.until(lambda: len(waits(up)) >= len(ms), lambda: f"{len(ms)} restarts: {waits(up)}")
        assert waits(up)[: len(ms)] == ms
    for up in wanted:
        assert up.end() == 0, up.story()
