"""loud: a test that can't be played here says so where nobody overlooks it."""
import warnings

import pytest


def skip(reason):
    """Skips, and tells why in the summary of warnings as well, which pytest prints unasked."""
    warnings.warn(f"SKIPPED: {reason}", stacklevel=2)
    pytest.skip(reason)
