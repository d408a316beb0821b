"""Made-up triggers and recipients: templates are tried with them, and the preview shows them."""

from collections.abc import Iterator
from typing import Final

from stream.delivery.templates import LOCALES
from stream.domain.campaign.arbiter import published
from stream.domain.kinds import REGISTRY
from stream.domain.kinds.kind import AnyKind, Kinds, Sample
from stream.domain.records import Trigger
from stream.emailer.directory import Recipient

ADDRESS: Final = "someone@shop.example"


def samples(kinds: Kinds = REGISTRY) -> Iterator[tuple[Trigger, Recipient]]:
    """Yield, for each kind that is mailed, its samples in each language.

    Of the last sample, which has the fewest details, the recipient has no name and no language.
    """
    for kind in kinds.all:
        if kind.class_ == "onsite":
            continue
        *detailed, bare = kind.samples
        for sample in detailed:
            for locale in LOCALES:
                yield sample_trigger(kind, sample), Recipient(ADDRESS, "Kim", locale)
        yield sample_trigger(kind, bare), Recipient(ADDRESS)


def sample_trigger(kind: AnyKind, sample: Sample) -> Trigger:
    """Return the made-up trigger of a kind's sample."""
    return Trigger(
        trigger_id=f"{sample.step:032x}",
        kind=kind.name,
        class_=kind.class_,
        tenant="default",
        visitor="4f2a",
        session="0" * 32,
        step=sample.step,
        evidence=[],
        reason="fired",
        due_at_ms=0,
        expires_at_ms=0,
        consent={},
        **published(sample.subject),
    )
