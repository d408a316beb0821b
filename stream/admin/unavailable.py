"""Remedies for a server that could not be checked: it is down, or refuses the connection.

They name settings, never the values.
"""

from collections.abc import Mapping
from typing import Final, Literal

from stream.adapters.refusal import Cause, Refused
from stream.admin.finding import Finding, fail
from stream.errors import CartwakeError

Server = Literal["Kafka", "Redis"]

# A port with another protocol stays silent, or closes the connection.
AWAY: Final[Mapping[Server, str]] = {
    "Kafka": "start it, or correct kafka.bootstrap, or kafka.security_protocol: the protocol of"
    " that port",
    "Redis": "start it, or correct redis.url: rediss:// where that port speaks TLS, and only there",
}
REFUSED: Final[Mapping[tuple[Server, Cause], str]] = {
    ("Kafka", Cause.LOGIN): "correct kafka.sasl_username and kafka.sasl_password, or what is in"
    " kafka.sasl_password_file; the broker needs credentials of that user for kafka.sasl_mechanism",
    ("Kafka", Cause.MECHANISM): "set kafka.sasl_mechanism to one that the broker offers",
    ("Kafka", Cause.CERTIFICATE): "set kafka.ssl_cafile to the authority that signed it, and use in"
    " kafka.bootstrap the names that it contains",
    (
        "Kafka",
        Cause.TLS,
    ): "set kafka.security_protocol to the protocol of this port, or name another port in"
    " kafka.bootstrap",
    ("Redis", Cause.LOGIN): "correct the user in redis.url (redis://NAME@host) and redis.password,"
    " or what is in redis.password_file",
    ("Redis", Cause.RIGHTS): "grant this user the rights in deploy/redis-users.acl",
    ("Redis", Cause.CERTIFICATE): "set redis.ssl_cafile to the authority that signed it, and use in"
    " redis.url the name that it contains",
    ("Redis", Cause.TLS): "name the port that speaks TLS in redis.url, or use redis:// there",
    ("Redis", Cause.CLUSTER): "correct redis.url",
}


def unavailable(server: Server, error: CartwakeError) -> Finding:
    """Return why a server could not be checked, and which settings to look at."""
    remedy = AWAY[server]
    if isinstance(error, Refused):
        remedy = REFUSED.get((server, error.kind), remedy)
    return fail(server, str(error).removeprefix(f"{server} "), remedy)
