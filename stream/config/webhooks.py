"""`cartwake webhooks`: the endpoints that triggers are posted to."""

from typing import Annotated, Final

from annotated_types import MinLen, Predicate

from stream.config.bounds import (
    BOOLEAN,
    GROUP,
    LIST,
    NAME,
    NOT_EMPTY,
    PORT,
    SECRET,
    SIGNING_SECRET,
    TARGET,
    TENANT,
    TEXT,
    Allowed,
    whole,
)
from stream.config.section import Section, means
from stream.config.worker import METRICS_HOST, METRICS_PORT
from stream.domain.kinds import KIND_OF

KIND: Final = Allowed(f"one of {', '.join(KIND_OF)}", Predicate(KIND_OF.__contains__))


class Endpoint(Section):
    """A URL that gets triggers of some kinds (none named: all), and the secrets that sign them."""

    name: Annotated[str, NAME]
    tenant: Annotated[str, TENANT] = "default"
    url: Annotated[str, TARGET, SECRET]
    secrets: Annotated[tuple[Annotated[str, SIGNING_SECRET], ...], LIST, MinLen(1), SECRET]
    kinds: Annotated[tuple[Annotated[str, KIND], ...], LIST] = ()


def _differ(endpoints: tuple[Endpoint, ...]) -> bool:
    return len({one.name for one in endpoints}) == len(endpoints)


ENDPOINTS: Final = Allowed(
    "a list of {name, url, secrets, tenant, kinds} with different names and secrets such as"
    " whsec_ and base64",
    LIST,
    Predicate(_differ),
)


class WebhookSettings(Section):
    """Which endpoints get triggers."""

    group: Annotated[
        str, GROUP, means("consumer groups are this, a dot and the endpoint's name")
    ] = "webhooks"
    endpoints: Annotated[
        tuple[Endpoint, ...],
        ENDPOINTS,
        SECRET,
        means("URLs that get triggers; the newest of the secrets first, no kinds: all"),
    ] = ()
    endpoints_file: Annotated[str, TEXT, means("file with that list, as JSON")] = ""
    allow_private: Annotated[
        bool, BOOLEAN, means("true: also endpoints without TLS, and at private addresses")
    ] = False
    at_once: Annotated[
        int,
        whole(1, 100, "requests"),
        means("requests to one endpoint at the same time; after a kill so many may be repeated"),
    ] = 4
    metrics_host: Annotated[str, NOT_EMPTY, METRICS_HOST] = "127.0.0.1"
    metrics_port: Annotated[int, PORT, METRICS_PORT] = 9467
