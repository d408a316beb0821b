"""A visitor's consent, per purpose. Everything is refused unless it is granted.

Of two choices the later counts; of two at the same moment the refusal.
"""

from typing import Literal, get_args

from msgspec import Struct

from stream.domain.events import Purposes, Status

Purpose = Literal[
    "analytics", "personalization", "marketing_email", "marketing_sms", "ads", "sale_share"
]
Standing = Literal["granted", "denied", "withdrawn", "expired"]

PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


class Choice(Struct, array_like=True, gc=False):
    """The newest choice for one purpose.

    ``since_ms`` is the start of an unbroken grant; ``valid_until_ms`` its last valid moment.
    """

    status: Standing
    at_ms: int
    since_ms: int = 0
    valid_until_ms: int | None = None

    def permits(self, at_ms: int) -> bool:
        """Say whether this choice allows what happened at ``at_ms``."""
        return (
            self.status == "granted"
            and self.since_ms <= at_ms
            and (self.valid_until_ms is None or at_ms <= self.valid_until_ms)
        )

    def stands(self, at_ms: int) -> bool:
        """Say whether this is a grant that has not lapsed by ``at_ms``, whenever it began."""
        return self.status == "granted" and not self.lapses_before(at_ms)

    def lapses_before(self, at_ms: int) -> bool:
        """Say whether this is a grant whose last valid moment is before ``at_ms``."""
        return (
            self.status == "granted"
            and self.valid_until_ms is not None
            and self.valid_until_ms < at_ms
        )


Consent = dict[Purpose, Choice]


def permits(consent: Consent, purpose: Purpose, at_ms: int) -> bool:
    """Say whether ``purpose`` is granted at ``at_ms``: unknown, refused and expired are "no".

    Examples
    --------
    >>> permits({}, "personalization", 0)
    False
    >>> permits({"ads": Choice("granted", 5, since_ms=5)}, "ads", 5)
    True
    """
    choice = consent.get(purpose)
    return choice is not None and choice.permits(at_ms)


def stands(consent: Consent, purpose: Purpose, at_ms: int) -> bool:
    """Say whether ``purpose`` is still granted at ``at_ms``.

    A producer's clock may be ahead of ours: a grant that begins in a moment stands already.
    """
    choice = consent.get(purpose)
    return choice is not None and choice.stands(at_ms)


def choices(purposes: Purposes) -> list[tuple[Purpose, Status]]:
    """List the purposes that an update names, in the contract's order."""
    named = ((purpose, getattr(purposes, purpose)) for purpose in PURPOSES)
    return [(purpose, status) for purpose, status in named if status is not None]


def is_newer(status: Status, at_ms: int, known: Choice | None) -> bool:
    """Say whether a choice read now replaces the ``known`` one."""
    if known is None or at_ms > known.at_ms:
        return True
    return at_ms == known.at_ms and status != "granted"


def granted(at_ms: int, valid_until_ms: int | None, known: Choice | None) -> Choice:
    """Return the grant as it stands: a renewal without a break keeps its earlier start."""
    unbroken = known is not None and known.status == "granted" and not known.lapses_before(at_ms)
    since_ms = known.since_ms if known is not None and unbroken else at_ms
    return Choice("granted", at_ms, since_ms, valid_until_ms)


def standing(consent: Consent) -> dict[Purpose, Standing]:
    """Return the status of every purpose that the visitor has chosen on."""
    return {purpose: choice.status for purpose, choice in sorted(consent.items())}
