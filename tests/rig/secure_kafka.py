"""A real Kafka that demands a login, by TLS or without, and lets each role do its work alone.

The one rule: what is allowed was allowed by ``deploy/kafka-acls.sh``. The rig's own calls come by
the plain listener, whose nobody is the super user.
"""

import argparse
import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from tests.rig.certificates import Certificates
from tests.rig.kafka import CALL_TIMEOUT_S, Kafka
from tests.rig.processes import LOOPBACK, REPOSITORY, free_port

ACLS = REPOSITORY / "deploy" / "kafka-acls.sh"
ROLES = (
    "cartwake-worker",
    "cartwake-operator",
    "storefront",
    "emailer",
    "webhooks",
    "edge",
    "autoscaler",
)
PROTOCOLS = ("SSL", "SASL_PLAINTEXT", "SASL_SSL")
SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
MODULES = "org.apache.kafka.common.security"
# Stands for Kafka's own tool, whose jar is not among a broker's: writes down what it is told.
TOOL = """\
#!/bin/sh
for word in "$@"; do printf '%s ' "$word"; done >> {told}
echo >> {told}
"""


def password(user: str) -> str:
    """Return the password that a role has here."""
    return f"secret-of-{user}"


class SecureKafka(Kafka):
    """One broker with a listener for each protocol; ``bootstrap`` is the rig's own plain one."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        super().__init__(folder)
        self.certificates = certificates
        self.addresses = {name: f"{LOOPBACK}:{free_port()}" for name in PROTOCOLS}
        self._config.write_text(self._with_listeners(self._config.read_text()))
        self._format_options = [
            f"--add-scram={mechanism}=[name={role},password={password(role)}]"
            for role in ROLES
            for mechanism in SCRAM
        ]

    def start(self) -> None:
        """Start it, and let the roles do what ``deploy/`` allows them."""
        is_new = not self._data.exists()
        super().start()
        if is_new:
            self._allow(_bindings(self._told()))

    def settings(self, role: str, protocol: str = "SASL_SSL", **other: str) -> dict[str, str]:
        """Return the environment of a ``cartwake`` that comes as a role, by a protocol."""
        known = {"bootstrap": self.addresses[protocol], "security_protocol": protocol}
        if protocol != "SSL":
            known |= {"sasl_username": role, "sasl_password": password(role)}
        if protocol != "SASL_PLAINTEXT":
            known["ssl_cafile"] = str(self.certificates.ca)
        return {f"CARTWAKE_KAFKA__{name.upper()}": text for name, text in (known | other).items()}

    def client_options(self, role: str) -> dict[str, str]:
        """Return what a client of librdkafka needs to come as a role."""
        return {
            "bootstrap.servers": self.addresses["SASL_SSL"],
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": role,
            "sasl.password": password(role),
            "ssl.ca.location": str(self.certificates.ca),
        }

    def _with_listeners(self, config: str) -> str:
        places = ",".join(f"{name}://{address}" for name, address in self.addresses.items())
        config = re.sub(r"(?m)^((?:advertised\.)?listeners=.*)$", rf"\1,{places}", config)
        kinds = ",".join(f"{name}:{name}" for name in PROTOCOLS)
        config = re.sub(r"(?m)^(listener\.security\.protocol\.map=.*)$", rf"\1,{kinds}", config)
        return config + "\n".join(_security(self.certificates))

    def _told(self) -> Iterator[list[str]]:
        """Yield the arguments of each call that the script makes of Kafka's tool."""
        tool, told = self.folder / "kafka-acls.sh", self.folder / "told"
        tool.write_text(TOOL.format(told=told))
        tool.chmod(0o755)
        server = ("--bootstrap-server", self.bootstrap)
        environment = {"KAFKA_ACLS": str(tool), "PATH": "/usr/bin:/bin"}
        subprocess.run([str(ACLS), *server], check=True, env=environment)
        for line in told.read_text().splitlines():
            yield shlex.split(line)

    def _allow(self, bindings: Iterable[AclBinding]) -> None:
        admin = self._admin()  # its futures end with it
        for done in admin.create_acls(list(bindings)).values():
            done.result(CALL_TIMEOUT_S)

    def role(self, role: str) -> AdminClient:
        """Return an administrator's client that comes as a role."""
        return AdminClient(self.client_options(role) | {"log_level": 0})


def _security(certificates: Certificates) -> Iterator[str]:
    """Yield the lines of TLS, logins and rights."""
    yield "ssl.keystore.type=PEM"
    yield f"ssl.keystore.location={certificates.pair}"
    yield "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer"
    yield "super.users=User:ANONYMOUS"
    users = " ".join(f'user_{role}="{password(role)}"' for role in ROLES)
    for listener in ("sasl_plaintext", "sasl_ssl"):
        prefix = f"listener.name.{listener}"
        yield f"{prefix}.sasl.enabled.mechanisms=PLAIN,{','.join(SCRAM)}"
        yield f"{prefix}.plain.sasl.jaas.config={MODULES}.plain.PlainLoginModule required {users};"
        for mechanism in SCRAM:
            module = f"{MODULES}.scram.ScramLoginModule required;"
            yield f"{prefix}.{mechanism.lower()}.sasl.jaas.config={module}"


def _bindings(calls: Iterable[list[str]]) -> Iterator[AclBinding]:
    """Yield what Kafka's tool would have added; it refuses words that it does not know."""
    tool = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    tool.add_argument("--add", action="store_true", required=True)
    tool.add_argument("--bootstrap-server", required=True)
    tool.add_argument("--allow-principal", required=True)
    tool.add_argument("--resource-pattern-type", choices=("literal", "prefixed"), default="literal")
    for many in ("operation", "topic", "group"):
        tool.add_argument(f"--{many}", action="append", default=[])
    for call in calls:
        asked = tool.parse_args(call)
        for operation in asked.operation:
            name = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).upper()
            for kind in ("topic", "group"):
                for resource in getattr(asked, kind):
                    yield AclBinding(
                        ResourceType[kind.upper()],
                        resource,
                        ResourcePatternType[asked.resource_pattern_type.upper()],
                        asked.allow_principal,
                        "*",
                        AclOperation[name],
                        AclPermissionType.ALLOW,
                    )
