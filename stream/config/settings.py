"""Settings: one frozen value, each setting with its unit in its name and its default beside it."""

from typing import TYPE_CHECKING

from pydantic import create_model
from pydantic.fields import FieldInfo

from stream.config.decisions import HoldoutSettings, LearningSettings, SessionSettings
from stream.config.edge import EdgeSettings
from stream.config.emailer import EmailerSettings
from stream.config.kinds import KIND_SECTIONS
from stream.config.section import Section
from stream.config.servers import KafkaSettings, RedisSettings
from stream.config.webhooks import WebhookSettings
from stream.config.worker import DeadLetterSettings, WorkerSettings

__all__ = [
    "KNOWN",
    "SECRETS",
    "SECTIONS",
    "DeadLetterSettings",
    "EdgeSettings",
    "EmailerSettings",
    "HoldoutSettings",
    "KafkaSettings",
    "LearningSettings",
    "RedisSettings",
    "SessionSettings",
    "Settings",
    "WebhookSettings",
    "WorkerSettings",
]


if TYPE_CHECKING:
    # A section for each kind of trigger, by the kind's name: `of_kind` returns it.
    KindSections = Section
else:
    KindSections = create_model(
        "KindSections",
        __base__=Section,
        **{name: (section, section()) for name, section in KIND_SECTIONS.items()},
    )


class Settings(KindSections):
    """All settings of one process."""

    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    worker: WorkerSettings = WorkerSettings()
    dead_letters: DeadLetterSettings = DeadLetterSettings()
    session: SessionSettings = SessionSettings()
    learning: LearningSettings = LearningSettings()
    holdout: HoldoutSettings = HoldoutSettings()
    edge: EdgeSettings = EdgeSettings()
    emailer: EmailerSettings = EmailerSettings()
    webhooks: WebhookSettings = WebhookSettings()

    def of_kind(self, name: str) -> Section:
        """Return the section of a kind of trigger."""
        section: Section = getattr(self, name)
        return section


# In the order of docs/settings.md: the kinds come last.
SECTIONS: dict[str, type[Section]] = {
    name: type(Settings.model_fields[name].default)
    for name in sorted(Settings.model_fields, key=KIND_SECTIONS.__contains__)
}
KNOWN: dict[str, FieldInfo] = {
    f"{section}.{name}": field
    for section, cls in SECTIONS.items()
    for name, field in cls.model_fields.items()
}
SECRETS: frozenset[str] = frozenset(name for name, field in KNOWN.items() if not field.repr)
