"""Whether the clocks agree: this machine's, Redis's, and that of whoever stamps the records.

The one rule: the limits are those by which workers hold fire.
"""

from collections.abc import Collection, Iterator
from typing import Final

from stream.admin.finding import Finding, fail, ok, warn
from stream.domain.policy import FUTURE_MS
from stream.runtime.worker_clock import AGREE_MS, PROMPT_MS

WORTH_A_WORD_MS: Final = 1_000
NTP: Final = "let both machines follow NTP (chronyc tracking, timedatectl)"


def judge_redis(ahead_ms: int | None, took_ms: int) -> Finding:
    """Judge Redis's clock; ``ahead_ms`` is what it is ahead of this machine's."""
    what = "clock of Redis"
    if ahead_ms is None:
        do = "give this user +time: without it workers hold fire"
        return fail(what, "is not told to this user", do)
    if took_ms > PROMPT_MS:
        found = f"took {took_ms} ms to be told, too long to be compared"
        return warn(what, found, "look at the network, and at Redis's slow log")
    found = f"{ahead_ms / 1000:+.3f} s against this machine's"
    if abs(ahead_ms) >= AGREE_MS:
        return fail(what, f"{found}: workers here hold fire", NTP)
    if abs(ahead_ms) >= WORTH_A_WORD_MS:
        return warn(what, f"{found}; from {AGREE_MS // 1000} s on workers hold fire", NTP)
    return ok(what, found)


def judge_records(ahead: Collection[str]) -> Iterator[Finding]:
    """Judge the inputs' timestamps: Kafka itself does not tell what time it is."""
    what, minute = "clock of the records", f"{FUTURE_MS // 1000} s"
    if ahead:
        found = f"{', '.join(sorted(ahead))} hold records from more than {minute} ahead"
        yield warn(
            what, found, "set the clocks right of those who produce to them, or of the brokers"
        )
    else:
        yield ok(what, f"no input holds a record from more than {minute} ahead of this machine's")
