"""
webhooks: the Standard Webhooks project's own library (npm), as the judge of our signatures.

    webhooks.verdict(secret, delivery)      "verified", or the library's word against it
"""
import os

from .. import node

HERE = os.path.dirname(os.path.abspath(__file__))


def install():
    node.install(HERE, "not verified by the standardwebhooks library")


def verdict(secret, delivery, **changed):
    """changed: what is put in place of the delivery's own headers and body."""
    given = {"secret": secret, "headers": delivery.headers, "body": delivery.body.decode()}
    given.update(changed)
    return node.run(HERE, "verify.js", [given])[0]
