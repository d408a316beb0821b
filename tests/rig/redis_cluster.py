"""A real Redis Cluster of primaries on loopback, each with its own folder.

The one rule: it serves what it can. The shards of a primary that is away wait, the others go on.
"""

from collections.abc import Iterator
from pathlib import Path

import redis

from tests.rig.processes import LOOPBACK, free_port, wait_until
from tests.rig.redis import START_TIMEOUT_S, Redis

SLOTS = 16_384
# The nodes' own line listens that far above, and ports end at 65,535.
BUS = 10_000
OPTIONS = {
    "cluster-enabled": "yes",
    "cluster-node-timeout": "1000",
    "cluster-require-full-coverage": "no",
}


class RedisCluster:
    """Primaries that share the slots evenly, and after them nodes without any."""

    def __init__(self, folder: Path, primaries: int = 3, spare: int = 0) -> None:
        self._primaries = primaries
        self.nodes = [
            Redis(folder / f"node-{number}", port=_port(), options=OPTIONS)
            for number in range(primaries + spare)
        ]
        first = self.nodes[0]
        self.url = f"redis+cluster://{LOOPBACK}:{first.port}"

    def start(self) -> None:
        """Start all nodes, make a cluster of them, and return once every one serves."""
        for node in self.nodes:
            node.start()
        for number, node in enumerate(self.nodes):
            with node.client() as client:
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
                if number < self._primaries:
                    client.execute_command("CLUSTER ADDSLOTS", *self.slots(number))
                client.execute_command("CLUSTER MEET", LOOPBACK, self.nodes[0].port)
        wait_until(self._serves, "a Redis Cluster that serves", START_TIMEOUT_S)

    def stop(self) -> None:
        """End all nodes in an orderly way."""
        for node in self.nodes:
            node.stop()

    def slots(self, number: int) -> range:
        """Return the slots that a primary began with."""
        return range(number * SLOTS // self._primaries, (number + 1) * SLOTS // self._primaries)

    def holder(self, key: str) -> Redis:
        """Return the primary that has a key's slot now."""
        with self.client() as client:
            port = client.get_node_from_key(key).port
        return next(node for node in self.nodes if node.port == port)

    def move(self, key: str, target: Redis) -> Iterator[str]:
        """Move a key's slot to another node, and yield after each step that clients notice."""
        source = self.holder(key)
        with source.client() as old, target.client() as new:
            slot = old.execute_command("CLUSTER KEYSLOT", key)
            old_id, new_id = (one.execute_command("CLUSTER MYID").decode() for one in (old, new))
            new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", old_id)
            old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", new_id)
            for one in old.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
                old.execute_command("MIGRATE", LOOPBACK, target.port, one, 0, 5000)
                yield "moving"
            for client in (new, old):
                client.execute_command("CLUSTER SETSLOT", slot, "NODE", new_id)
            yield "moved"

    def client(self) -> redis.RedisCluster:
        """Return a new client of the whole; its user closes it."""
        return redis.RedisCluster(host=LOOPBACK, port=self.nodes[0].port)

    def _serves(self) -> bool:
        return all(_sees(node, len(self.nodes)) for node in self.nodes)


def _sees(node: Redis, nodes: int) -> bool:
    with node.client() as client:
        told = client.execute_command("CLUSTER INFO")
    if isinstance(told, bytes):
        told = dict(line.split(":") for line in told.decode().splitlines())
    return told["cluster_state"] == "ok" and int(told["cluster_known_nodes"]) == nodes


def _port() -> int:
    while (port := free_port()) + BUS >= 1 << 16:
        pass
    return port
