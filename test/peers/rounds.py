"""
rounds: promises that something takes no longer than so much. A machine that stands still for a second breaks
them in one round; a product that is too slow breaks them in every one, or by more than that second.

    rounds.in_time(took, patience.bound(2), "back")     Late when it took a little longer
    rounds.best_of_three(play)                          plays again, from its beginning, what was only Late
"""
from . import patience

ROUNDS = 3
STOOD_STILL = 1.5  # seconds that a machine may take from one round


class Late(AssertionError):
    """Slower than promised, or too slow to tell; nothing else was wrong."""


def in_time(took, bound, what):
    """Seconds, both."""
    told = f"{what} after {took:.2f} s, not {bound:g} s"
    assert took <= bound + STOOD_STILL * patience.STRETCH, told
    if took > bound:
        raise Late(told)


def best_of_three(play):
    """What play() returns, in the first round that is in time. Any other failure is one at once."""
    for _ in range(ROUNDS - 1):
        try:
            return play()
        except Late:
            pass
    return play()
