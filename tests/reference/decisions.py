"""Section 3, Cart abandonment, Exit intent, Holdout, Skip reasons.

The checks stand in the contract's order of reasons: the first that blocks is the one reported.
"""

from typing import Any

from tests.reference import consent
from tests.reference.cart import MAX_EVIDENCE, worth
from tests.reference.shop import DAY_MS, SECOND_MS, Behaviour, Shop, Visitor

REMINDER_LIFE_MS, OFFER_LIFE_MS = DAY_MS, 10 * SECOND_MS
KNOWN_MENTIONS = 128


def reminder_due_ms(shop: Shop, known: Behaviour) -> int | None:
    """Return when step 0 is due: last activity + idle, if the cart holds something."""
    if not known.lines or known.last_activity_ms is None:
        return None
    if known.decided_activity_ms is not None and (
        known.last_activity_ms <= known.decided_activity_ms
    ):
        return None
    return known.last_activity_ms + shop.policy.idle_ms


def follow_up_due_ms(shop: Shop, known: Behaviour) -> int | None:
    """Return when the follow-up is due that is owed next; not before last activity + idle."""
    if known.follow_up is None or known.last_activity_ms is None:
        return None
    first_due_ms, step = known.follow_up
    if step >= len(shop.policy.steps_s):
        return None
    after_first_ms = first_due_ms + shop.policy.steps_s[step] * SECOND_MS
    return max(after_first_ms, known.last_activity_ms + shop.policy.idle_ms)


def remind(shop: Shop, visitor: Visitor, known: Behaviour, due_ms: int, now_ms: int) -> None:
    """Decide on step 0 at its due moment, judged at ``now_ms``."""
    known.decided_activity_ms = known.last_activity_ms
    reason = _why_no_reminder(shop, visitor, known, due_ms, now_ms)
    _conclude_reminder(shop, visitor, known, 0, due_ms, now_ms, reason)
    if reason is None:
        known.follow_up = (due_ms, 1)
        known.mentioned = [*known.mentioned, (known.contents, due_ms)][-KNOWN_MENTIONS:]


def follow_up(shop: Shop, visitor: Visitor, known: Behaviour, due_ms: int, now_ms: int) -> None:
    """Decide on the follow-up that is owed: consent, ``expired`` and holdout are checked again."""
    assert known.follow_up is not None
    first_due_ms, step = known.follow_up
    known.follow_up = (first_due_ms, step + 1)
    blocks = {
        "no_consent": not _is_consented(visitor, "cart_abandonment", due_ms, now_ms),
        "expired": now_ms > due_ms + REMINDER_LIFE_MS,
        "holdout": shop.is_held_out(visitor.tenant, visitor.name),
    }
    _conclude_reminder(shop, visitor, known, step, due_ms, now_ms, _first(blocks))


def _why_no_reminder(
    shop: Shop, visitor: Visitor, known: Behaviour, due_ms: int, now_ms: int
) -> str | None:
    policy = shop.policy
    age_ms = due_ms - (known.cart_changed_ms or 0)
    blocks = {
        "no_consent": not _is_consented(visitor, "cart_abandonment", due_ms, now_ms),
        "expired": now_ms > due_ms + REMINDER_LIFE_MS,
        "cart_empty": not known.lines,
        "cart_too_small": worth(known.lines)[0] < policy.min_value_minor,
        "cart_too_old": age_ms > policy.max_age_s * SECOND_MS,
        "already_fired": known.contents in [contents for contents, _ in known.mentioned],
        "holdout": shop.is_held_out(visitor.tenant, visitor.name),
    }
    return _first(blocks)


def answer_exit(
    shop: Shop, visitor: Visitor, known: Behaviour, event: dict[str, Any], at_ms: int, now_ms: int
) -> None:
    """Decide on an exit signal at once; a cart of history alone is not owed before activity."""
    if not known.lines or known.last_activity_ms is None:
        return
    reason = _why_no_answer(shop, visitor, known, event, at_ms, now_ms)
    evidence = [*known.cart_evidence[-(MAX_EVIDENCE - 1) :], event["id"]]
    _conclude(
        shop,
        visitor,
        known,
        {
            "kind": "exit_intent",
            "class": "onsite",
            "step": 0,
            "signal": event["id"],
            "evidence": evidence,
            "reason": event["signal"],
            "due_at_ms": at_ms,
            "expires_at_ms": at_ms + OFFER_LIFE_MS,
        },
        now_ms,
        reason,
    )
    if reason is None:
        known.exit_fired_ms = at_ms
        known.exit_session_ms = known.session_started_ms


def _why_no_answer(
    shop: Shop, visitor: Visitor, known: Behaviour, event: dict[str, Any], at_ms: int, now_ms: int
) -> str | None:
    policy, session_ms, last_ms = shop.policy, known.exit_session_ms, known.exit_fired_ms
    blocks = {
        "no_consent": not _is_consented(visitor, "exit_intent", at_ms, now_ms),
        "expired": now_ms > at_ms + OFFER_LIFE_MS,
        "already_fired": session_ms is not None and session_ms == known.session_started_ms,
        "cooldown": last_ms is not None and at_ms - last_ms < policy.cooldown_s * SECOND_MS,
        "dwell_too_short": event["dwell_ms"] < policy.min_dwell_ms,
        "holdout": shop.is_held_out(visitor.tenant, visitor.name),
    }
    return _first(blocks)


def _first(blocks: dict[str, bool]) -> str | None:
    """Return the first reason that blocks; None: nothing does."""
    return next((reason for reason in blocks if blocks[reason]), None)


def _is_consented(visitor: Visitor, kind: str, due_ms: int, now_ms: int) -> bool:
    """Everything the kind needs was granted when it was owed, and still is when it is judged."""
    return all(
        consent.is_allowed(visitor, purpose, due_ms)
        and consent.still_stands(visitor, purpose, now_ms)
        for purpose in consent.NEEDS[kind]
    )


def _conclude_reminder(
    shop: Shop,
    visitor: Visitor,
    known: Behaviour,
    step: int,
    due_ms: int,
    now_ms: int,
    reason: str | None,
) -> None:
    _conclude(
        shop,
        visitor,
        known,
        {
            "kind": "cart_abandonment",
            "class": "marketing",
            "step": step,
            "signal": None,
            "evidence": list(known.cart_evidence),
            "reason": "cart_idle" if step == 0 else "cart_still_idle",
            "due_at_ms": due_ms,
            "expires_at_ms": due_ms + REMINDER_LIFE_MS,
        },
        now_ms,
        reason,
    )


def _conclude(
    shop: Shop,
    visitor: Visitor,
    known: Behaviour,
    owed: dict[str, Any],
    now_ms: int,
    reason: str | None,
) -> None:
    """Tell the decision, and the trigger unless there is a reason against it."""
    who = {"tenant": visitor.tenant, "visitor": visitor.name}
    shop.told.decisions.append(
        {
            "kind": owed["kind"],
            **who,
            "outcome": "fired" if reason is None else "skipped",
            "reason": reason or "fired",
            "at_ms": owed["due_at_ms"],
            "step": owed["step"],
            "signal": owed["signal"],
        }
    )
    if reason is not None:
        return
    value_minor, currency = worth(known.lines)
    lines = [{"product": dict(one.product), "quantity": one.quantity} for one in known.lines]
    trigger = {
        **{name: fact for name, fact in owed.items() if name != "signal"},
        **who,
        "cart": {"value_minor": value_minor, "currency": currency, "lines": lines},
        "consent": {purpose: one.status for purpose, one in visitor.consent.items()},
    }
    shop.told.triggers.append(trigger)
    still_of_use = [one for one in known.published if one["expires_at_ms"] >= now_ms]
    known.published = [*still_of_use, trigger]
