"""The independent reference, over the same log: what it says stands beside the engine's own word.

It knows the ``records`` clock alone, so live it has nothing to say.
"""

from collections import Counter
from collections.abc import Iterable

from stream.config.policy import policy_of
from stream.config.settings import Settings
from stream.domain.holdout import in_holdout
from tests import reference
from tests.faults.evidence import Evidence, body
from tests.faults.oracle import IDS
from tests.reference_view import expected, told, view


def disagreements(evidence: Evidence, settings: Settings) -> list[str]:
    """Return where the reference says otherwise: triggers, decisions, and what is kept."""
    if evidence.clock != "records":
        return []
    holdout = policy_of(settings).holdout
    result = reference.run(
        evidence.inputs,
        _policy(settings),
        is_held_out=lambda tenant, visitor: in_holdout(tenant, visitor, holdout),
    )
    problems = []
    for topic, theirs in (("triggers", result.triggers), ("decisions", result.decisions)):
        ours = {it[IDS[topic]]: it for it in map(body, evidence.published[topic])}
        problems += _differing(topic, map(told, ours.values()), map(expected, theirs))
    kept = {(who.tenant, who.visitor): view(it) for (_, who), it in evidence.states.items()}
    for who in kept.keys() | result.visitors.keys():
        if kept.get(who) != result.visitors.get(who):
            problems.append(f"{who}: {kept.get(who)} is not {result.visitors.get(who)}")
    return problems


def _policy(settings: Settings) -> reference.Policy:
    cart = settings.cart_abandonment
    return reference.Policy(
        idle_s=cart.idle_s,
        steps_s=cart.steps_s,
        min_value_minor=cart.min_value_minor,
        max_age_s=cart.max_age_s,
        min_dwell_ms=settings.exit_intent.min_dwell_ms,
        cooldown_s=settings.exit_intent.cooldown_s,
        session_idle_s=settings.session.idle_s,
    )


def _differing(topic: str, ours: Iterable[str], theirs: Iterable[str]) -> list[str]:
    found, wanted = Counter(ours), Counter(theirs)
    problems = [f"{topic}: the reference has not {it}" for it in (found - wanted).elements()]
    return problems + [f"{topic}: the reference has {it}" for it in (wanted - found).elements()]
