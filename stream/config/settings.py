"""Settings: one frozen value, each setting with its unit in its name and its default beside it."""

from pydantic.fields import FieldInfo

from stream.config.decisions import (
    CartAbandonmentSettings,
    ExitIntentSettings,
    HoldoutSettings,
    LearningSettings,
    SessionSettings,
)
from stream.config.edge import EdgeSettings
from stream.config.emailer import EmailerSettings
from stream.config.section import Section
from stream.config.servers import KafkaSettings, RedisSettings
from stream.config.webhooks import WebhookSettings
from stream.config.worker import DeadLetterSettings, WorkerSettings

__all__ = [
    "KNOWN",
    "SECRETS",
    "SECTIONS",
    "CartAbandonmentSettings",
    "DeadLetterSettings",
    "EdgeSettings",
    "EmailerSettings",
    "ExitIntentSettings",
    "HoldoutSettings",
    "KafkaSettings",
    "LearningSettings",
    "RedisSettings",
    "SessionSettings",
    "Settings",
    "WebhookSettings",
    "WorkerSettings",
]


class Settings(Section):
    """All settings of one process."""

    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    worker: WorkerSettings = WorkerSettings()
    dead_letters: DeadLetterSettings = DeadLetterSettings()
    cart_abandonment: CartAbandonmentSettings = CartAbandonmentSettings()
    exit_intent: ExitIntentSettings = ExitIntentSettings()
    session: SessionSettings = SessionSettings()
    learning: LearningSettings = LearningSettings()
    holdout: HoldoutSettings = HoldoutSettings()
    edge: EdgeSettings = EdgeSettings()
    emailer: EmailerSettings = EmailerSettings()
    webhooks: WebhookSettings = WebhookSettings()


SECTIONS: dict[str, type[Section]] = {
    name: type(field.default) for name, field in Settings.model_fields.items()
}
KNOWN: dict[str, FieldInfo] = {
    f"{section}.{name}": field
    for section, cls in SECTIONS.items()
    for name, field in cls.model_fields.items()
}
SECRETS: frozenset[str] = frozenset(name for name, field in KNOWN.items() if not field.repr)
