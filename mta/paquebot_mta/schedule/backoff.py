"""The time table of retries: creation + base * n^2, as OpenSMTPD's scheduler has it (400, 1600, 3600 ... seconds)."""

from math import isqrt


def next_attempt_at(created_at: float, attempts: int, base_seconds: int, now: float) -> float:
    """Say when an envelope is tried again.

    ``n`` is the number of finished attempts, raised until the time lies ahead, so that a long stop or many attempts on
    request don't make up for lost time in a burst.

    Args:
        created_at: acceptance of the message, seconds since 1970.
        attempts: finished attempts, at least 1.
        base_seconds: 400 for relays, 10 for local deliveries and bounces.
        now: seconds since 1970.

    Returns:
        Seconds since 1970, later than ``now``.
    """
    elapsed = max(0, int((now - created_at) / base_seconds))
    step = max(attempts, 1, isqrt(elapsed))
    while created_at + base_seconds * step * step <= now:
        step += 1
    return created_at + base_seconds * step * step


def expires_at(created_at: float, ttl_seconds: int) -> float:
    """Say when an envelope's time to live ends, seconds since 1970."""
    return created_at + ttl_seconds
