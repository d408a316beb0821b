"""What to do about a server that cannot be looked at: it is away, or does not let us in.

The one rule: it names settings, never what they hold.
"""

from collections.abc import Mapping
from typing import Final, Literal

from stream.adapters.refusal import Kind, Refused
from stream.admin.finding import Finding, fail
from stream.errors import CartwakeError

Server = Literal["Kafka", "Redis"]

# A port that speaks something else than we do is silent, or hangs up.
AWAY: Final[Mapping[Server, str]] = {
    "Kafka": "start it, or correct kafka.bootstrap, or kafka.security_protocol: as that port"
    " speaks",
    "Redis": "start it, or correct redis.url: rediss:// where that port speaks TLS, and only there",
}
REFUSED: Final[Mapping[tuple[Server, Kind], str]] = {
    ("Kafka", Kind.LOGIN): "correct kafka.sasl_username and kafka.sasl_password, or what is in"
    " kafka.sasl_password_file; the broker has to know the user by kafka.sasl_mechanism",
    ("Kafka", Kind.MECHANISM): "set kafka.sasl_mechanism to one that the broker offers",
    ("Kafka", Kind.CERTIFICATE): "set kafka.ssl_cafile to the authority that has signed it, and in"
    " kafka.bootstrap the names that it is for",
    ("Kafka", Kind.TLS): "set kafka.security_protocol as this port speaks, or name another port in"
    " kafka.bootstrap",
    ("Redis", Kind.LOGIN): "correct the user in redis.url (redis://NAME@host) and redis.password,"
    " or what is in redis.password_file",
    ("Redis", Kind.RIGHTS): "give this user what deploy/redis-users.acl gives it",
    ("Redis", Kind.CERTIFICATE): "set redis.ssl_cafile to the authority that has signed it, and in"
    " redis.url the name that it is for",
    ("Redis", Kind.TLS): "name the port that speaks TLS in redis.url, or take redis:// there",
    ("Redis", Kind.CLUSTER): "correct redis.url",
}


def judge(server: Server, error: CartwakeError) -> Finding:
    """Return what has kept us from looking at a server, and which settings to look at."""
    do = AWAY[server]
    if isinstance(error, Refused):
        do = REFUSED.get((server, error.kind), do)
    return fail(server, str(error).removeprefix(f"{server} "), do)
