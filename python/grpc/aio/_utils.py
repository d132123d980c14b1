"""Small things of both sides."""

import time
from typing import Optional


def _timeout_to_deadline(timeout: Optional[float]) -> Optional[float]:
    """The time of day, in seconds, that is so many seconds away; None without a timeout."""
    return None if timeout is None else time.time() + timeout
