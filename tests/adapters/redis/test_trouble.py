import itertools
import ssl

import pytest
from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    ClusterError,
    ConnectionError,  # noqa: A004 - Redis's own
    NoPermissionError,
    RedisClusterException,
    ResponseError,
    SlotNotCoveredError,
    TimeoutError,  # noqa: A004 - Redis's own
)

from stream.adapters.redis.trouble import is_passing, refusal
from stream.adapters.refusal import Cause


@pytest.mark.parametrize(
    "answer",
    [
        "MISCONF Errors writing to the AOF file: No space left on device",
        "BUSY Redis is busy running a script.",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "Error running script (call to f_1): @user_script:9: @user_script: 9: -OOM command not",
        "Error running script (call to f_1): @user_script:9: @user_script: 9: -MISCONF Redis is",
        "NOREPLICAS Not enough good replicas to write.",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "Error running script (call to f_1): @user: 1: The user executing the script can't",
        "The user executing the script can't run this command or subcommand script: 1, on @user",
        "Redis Cluster cannot be connected. Please provide at least one reachable node: timed out",
        "All slots are not covered after query all startup_nodes. 5461 of 16384 covered...",
    ],
)
def test_answers_of_a_server_that_will_recover_are_known(answer):
    assert is_passing(ResponseError(answer))


@pytest.mark.parametrize(
    "answer",
    [
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "ERR value is not an integer or out of range",
        "BUSYKEY Target key name already exists.",
        "EVALSHA - all keys must map to the same key slot",
        "BUSYGROUP Consumer Group name already exists",
        "Error running script (call to f_1): @user_script:9: -WRONGTYPE Operation against OOM key",
    ],
)
def test_answers_that_waiting_does_not_change_are_told_apart(answer):
    assert not is_passing(ResponseError(answer))


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("refused"),
        TimeoutError("timed out"),
        ClusterDownError("Hash slot not served"),
        ClusterError("TTL exhausted."),
        NoPermissionError("this user has no permissions to run the 'hset' command"),
    ],
)
def test_errors_that_time_heals_are_known_by_their_class(error):
    assert is_passing(error)


def chained(*errors):
    """Return the last error, each one raised because of the one before."""
    for cause, error in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[-1]


CLUSTER_AWAY = RedisClusterException("Redis Cluster cannot be connected. Please provide ...")
UNTRUSTED = ssl.SSLCertVerificationError(1, "certificate verify failed")
UNTRUSTED.verify_message = "self-signed certificate"
NO_TLS = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
NO_TLS.reason = "WRONG_VERSION_NUMBER"


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            AuthenticationError("invalid pair"),
            Cause.LOGIN,
            "refuses this login: invalid pair",
        ),
        (
            chained(AuthenticationError("invalid pair"), CLUSTER_AWAY),
            Cause.LOGIN,
            "refuses this login: invalid pair",
        ),
        (
            NoPermissionError("no permissions to run 'info'"),
            Cause.RIGHTS,
            "lets this user in, but not to what is needed: no permissions to run 'info'",
        ),
        (
            chained(
                NoPermissionError("no permissions to run 'cluster|slots'"),
                RedisClusterException("Cluster mode is not enabled on this node"),
                RedisClusterException("Redis Cluster cannot be connected."),
            ),
            Cause.CLUSTER,
            "is no cluster: use redis:// or rediss://",
        ),
        (
            chained(UNTRUSTED, ConnectionError("Error 1 connecting")),
            Cause.CERTIFICATE,
            "has a certificate that is not to be trusted: self-signed certificate",
        ),
        (
            chained(NO_TLS, ConnectionError("Error 1 connecting")),
            Cause.TLS,
            "does not agree on TLS: WRONG_VERSION_NUMBER",
        ),
    ],
)
def test_a_refusal_is_told_however_redis_py_wraps_it(error, kind, words):
    assert refusal(error) == (kind, words)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("Connection refused"),
        chained(ssl.SSLEOFError(8, "EOF occurred"), ConnectionError("1")),
        ResponseError("WRONGTYPE Operation"),
        SlotNotCoveredError("Slot"),
    ],
)
def test_other_trouble_is_no_refusal(error):
    assert refusal(error) is None
