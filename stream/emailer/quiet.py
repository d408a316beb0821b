"""Quiet hours: no marketing mails at night, by the recipient's own clock.

Local hours follow the IANA zone, through every change of the clock. Moments are milliseconds UTC.
"""

from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo


class QuietHours(NamedTuple):
    """From a local time up to another, over midnight too; where both are equal there are none."""

    start: time
    end: time

    def holds(self, at_ms: int, zone: ZoneInfo) -> bool:
        """Say whether it is quiet at that moment.

        Examples
        --------
        >>> night = QuietHours(time(21), time(9))
        >>> (
        ...     night.holds(22 * 3_600_000, ZoneInfo("UTC")),
        ...     night.holds(9 * 3_600_000, ZoneInfo("UTC")),
        ... )
        (True, False)
        """
        local = datetime.fromtimestamp(at_ms / 1000, zone).time()
        if self.start <= self.end:
            return self.start <= local < self.end
        return local >= self.start or local < self.end

    def over_ms(self, at_ms: int, zone: ZoneInfo) -> int:
        """Return the first moment from ``at_ms`` on that is not quiet.

        Where clocks jump over the end of the quiet hours, they last as much longer as is skipped.

        Examples
        --------
        >>> night = QuietHours(time(21), time(9))
        >>> night.over_ms(22 * 3_600_000, ZoneInfo("UTC")) // 3_600_000
        33
        """
        if not self.holds(at_ms, zone):
            return at_ms
        local = datetime.fromtimestamp(at_ms / 1000, zone)
        # The end may come twice where clocks go back, and by then it may be quiet again.
        ends = (
            datetime.combine(local.date() + timedelta(days), self.end, zone).replace(fold=fold)
            for days in (0, 1)
            for fold in (0, 1)
        )
        moments = sorted(int(end.astimezone(UTC).timestamp() * 1000) for end in ends)
        return next(moment for moment in moments if moment > at_ms and not self.holds(moment, zone))
