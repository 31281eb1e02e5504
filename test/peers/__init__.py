"""
peers: the world around Fetchback, played inside the test process.

    client ──> [ api · consumer · responder ] ──> Redis          real processes, real Redis
                    │                  │
                 provider           receiver                     web.Peer: behaviour is data
                    └── proxy, dns, tls ──┘                      what lies between, and goes wrong

Everything asynchronous runs on one loop in one thread (stage.py), so a peer's behaviour is a
coroutine and a test stays a story of a few straight lines. Ports are free ones outside the range
that the kernel hands to outgoing connections; every wait is bounded (patience.py); every process
ends by its own pid, and dies with the test run however that dies.
"""
