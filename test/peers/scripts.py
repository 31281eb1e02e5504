"""scripts: a verb of libpipeline/lua called by hand, with all of lib.lua before it."""
import os

from .pipeline import ROOT

TAG = "{f0}:"


def read(name):
    with open(os.path.join(ROOT, "libpipeline", "lua", f"{name}.lua"), encoding="utf-8") as file:
        return file.read()


def run(redis, verb, *arguments):
    first, rest = read(verb).split("\n", 1)
    prelude = "local T, call = KEYS[1], redis.call"
    return redis.call("EVAL", f"{first}\n{prelude}\n{read('lib')}{rest}", 1, TAG, *arguments)
