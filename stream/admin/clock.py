"""Compares clocks: this machine's, Redis's, and those that stamp the records.

The limits are those from which on workers fire no trigger.
"""

from collections.abc import Collection, Iterator
from typing import Final

from stream.admin.finding import Finding, fail, ok, warn
from stream.domain.policy import FUTURE_MS
from stream.runtime.worker_clock import AGREE_MS, PROMPT_MS

WORTH_A_WORD_MS: Final = 1_000
NTP: Final = "synchronise both machines by NTP (chronyc tracking, timedatectl)"


def check_redis_clock(ahead_ms: int | None, took_ms: int) -> Finding:
    """Check how far Redis's clock is ahead; None where this user may not read it."""
    subject = "clock of Redis"
    if ahead_ms is None:
        remedy = "give this user +time: without it workers fire nothing"
        return fail(subject, "this user may not read it", remedy)
    if took_ms > PROMPT_MS:
        observed = f"reading it took {took_ms} ms, too long to compare it"
        return warn(subject, observed, "check the network and Redis's slow log")
    observed = f"{ahead_ms / 1000:+.3f} s against this machine's"
    if abs(ahead_ms) >= AGREE_MS:
        return fail(subject, f"{observed}: workers here fire nothing", NTP)
    if abs(ahead_ms) >= WORTH_A_WORD_MS:
        return warn(subject, f"{observed}; from {AGREE_MS // 1000} s on workers fire nothing", NTP)
    return ok(subject, observed)


def check_record_timestamps(ahead: Collection[str]) -> Iterator[Finding]:
    """Check the inputs' timestamps: Kafka itself has no call for its time."""
    subject, minute = "clock of the records", f"{FUTURE_MS // 1000} s"
    if ahead:
        observed = f"{', '.join(sorted(ahead))} hold records stamped more than {minute} ahead"
        yield warn(subject, observed, "correct the clocks of their producers, or of the brokers")
    else:
        yield ok(
            subject, f"no input holds a record stamped more than {minute} ahead of this machine's"
        )
