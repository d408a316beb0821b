"""Makes redis-py's client for the URL in the settings: for one server, or for a cluster.

A client tries once. ``connection`` waits, retries and logs.
"""

from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError  # noqa: A004 - Redis's own

from stream.adapters import tls
from stream.config.bounds import redis_nodes

ANSWER_WITHIN_S: Final = 5.0
PORT: Final = 6379


class Cluster(RedisCluster):
    """redis-py's client, with its own errors while a cluster changes reported as an outage.

    It closes connections that other tasks use, and it does not know a node without slots when a
    server redirects to it. Both raise ``AttributeError``.
    """

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - Redis's
        """Run a command on the node that has its keys."""
        try:
            return await super().execute_command(*args, **kwargs)
        except AttributeError as error:
            raise ConnectionError("the cluster is changing") from error


def made(url: str, password: str, ssl_cafile: str) -> tuple[Redis | RedisCluster, str]:
    """Return a client that connects at the first command, and an address to show in messages.

    Raises
    ------
    UsageError
        The certificate authority's file is not PEM.
    """
    options: dict[str, Any] = {
        "socket_timeout": ANSWER_WITHIN_S,
        "socket_connect_timeout": ANSWER_WITHIN_S,
        "retry": Retry(NoBackoff(), 0),
    }
    if password:
        options["password"] = password
    if ssl_cafile:
        tls.context(ssl_cafile, "redis.ssl_cafile")
        options["ssl_ca_certs"] = ssl_cafile
    return _cluster(url, options) if "+cluster://" in url else _server(url, options)


def _server(url: str, options: dict[str, Any]) -> tuple[Redis, str]:
    client = Redis.from_url(url, **options)
    known = client.connection_pool.connection_kwargs
    return client, known.get("path") or f"{known['host']}:{known.get('port', PORT)}"


def _cluster(url: str, options: dict[str, Any]) -> tuple[RedisCluster, str]:
    first, *others = redis_nodes(url)
    nodes = [(one.hostname or "", one.port or PORT) for one in map(urlsplit, (first, *others))]
    client = Cluster.from_url(
        first.replace("+cluster", "", 1),
        startup_nodes=[ClusterNode(host, port) for host, port in nodes[1:]],
        **options,
    )
    return client, ",".join(f"{host}:{port}" for host, port in nodes)
