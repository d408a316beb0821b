"""A server that demands TLS and a password, with the users of ``deploy/``."""

import asyncio

import pytest
from redis.exceptions import NoPermissionError, ResponseError

from stream.adapters.redis.connection import Connection
from stream.adapters.redis.models import RedisModels
from stream.adapters.redis.reader import RedisStates
from stream.adapters.redis.store import RedisStore, fix_partitions
from stream.domain.visitor import Visitor, VisitorKey
from stream.emailer.people import People
from stream.entities.visitors import VISITOR_CODEC
from stream.errors import CartwakeError, UsageError
from stream.shard.ports import Commit, Entry, Watermark
from tests.adapters.redis.test_models import taught
from tests.delivery.triggers import trigger
from tests.rig.secure_redis import password

pytestmark = pytest.mark.usefixtures("impatient")

GROUP, WORKER, OPERATOR = "cartwake", "cartwake-worker", "cartwake-operator"
EMAILER, WEBHOOKS = "emailer", "webhooks"
ANN, BOB = VisitorKey("shop", "ann"), VisitorKey("shop", "bob")


def commit(step, *, gone=()):
    states = {ANN: Visitor(erased_ms=step)} | dict.fromkeys(gone)
    entry = Entry("triggers", b"ann", b"{}", [("ce_id", b"1")])
    wakes = {ANN: step} | dict.fromkeys(gone)
    return Commit(states, wakes, [entry], Watermark({"cart-events": step}, 1_000 * step, step))


@pytest.fixture
def login(secure_redis, certificates):
    """Return what a connection of the worker takes, with other values where a test says so."""
    known = {
        "url": secure_redis.url_of(WORKER),
        "password": password(WORKER),
        "ssl_cafile": str(certificates.ca),
    }
    return lambda **other: known | other


@pytest.fixture
async def connection(login):
    made = Connection(**login())
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def empty(secure_redis):
    with secure_redis.client() as client:
        client.flushall()


async def test_the_workers_user_can_do_all_of_its_work(connection, secure_redis):
    await connection.check()
    with secure_redis.client() as admin:
        admin.script_flush()
    async with asyncio.timeout(20):  # a right that is missing would be waited for
        await fix_partitions(connection, GROUP, 12)
        await work(RedisStore(connection, GROUP, VISITOR_CODEC), RedisModels(connection, GROUP))


async def work(store, models):
    owner = await store.claim(0)
    async for states in store.scan(owner):
        assert states == {}
    await store.arm(owner, {ANN: 1}, "digest")
    ids = await store.commit(owner, commit(1))
    ids += await store.commit(owner, commit(2, gone=[BOB]))
    assert await store.load(owner, [ANN, BOB]) == {ANN: Visitor(erased_ms=2)}
    assert await store.due(owner, 9, 9) == [ANN]
    assert len(await store.outbox(owner)) == 2
    await store.remove(owner, ids)
    assert owner.pending == 0
    assert await models.load() is None
    assert await models.save(taught(3), None)
    assert await models.offset() == 3


OWN = "cartwake:{0}:state"
FOREIGN = ("get shop:x", "set shop:x y", "hget cartwake2:{0}:own token", "hgetall out")
FORBIDDEN = f"""
flushall, flushdb, swapdb 0 1, keys *, scan 0, randomkey, dbsize, config get *, shutdown, monitor,
config set maxmemory 1, script flush, script load x, type shop:x, save, bgsave, acl list,
bgrewriteaof, acl setuser x, client list, client kill x, replicaof no one, subscribe x, publish x y,
slowlog get, cluster nodes, cluster failover, migrate h 1 k 0 1, rename {OWN} x, dump {OWN},
expire {OWN} 1, copy {OWN} x, unlink {OWN}, {", ".join(FOREIGN)}
"""

PERSON = "cartwake:emailer:person:x"
OTHERS = (
    "hget cartwake:{0}:out f, zrange cartwake:{0}:wake 0 1, del cartwake:{0}:out, "
    "get cartwake:models, zrange cartwake:edge:name:x 0 1, get cartwake:partitions"
)
MORE = "set cartwake:partitions 1, eval x 0, del shop:x"


@pytest.mark.parametrize(
    ("user", "more"),
    [
        (WORKER, f"del {OWN}, exists {OWN}, ping"),
        (
            OPERATOR,
            ", ".join((f"hscan {OWN} 0, hgetall {OWN}, hset {OWN} f v", MORE)),
        ),
        (WEBHOOKS, f"{MORE}, {OTHERS}, hget {PERSON} f, hset {OWN} f v, del {OWN}"),
        (EMAILER, f"{MORE}, {OTHERS}, hgetall {PERSON}, hdel {OWN} f, hgetall {OWN}"),
    ],
)
async def test_a_user_can_do_nothing_else(login, user, more):
    connection = Connection(**login_of(user, login))
    commands = [one.strip() for one in f"{FORBIDDEN}, {more}".split(",")]
    left = [one for one in commands if not await is_refused(connection, one)]
    # Before Redis 7 rights are for all keys of a user, and what it keeps of persons expires.
    assert left == ([f"expire {OWN} 1"] if user == EMAILER else [])
    await connection.close()


async def test_the_emailers_user_reads_states_and_keeps_persons(login, connection):
    store = RedisStore(connection, GROUP, VISITOR_CODEC)
    await store.commit(await store.claim(0), commit(1))
    channel = Connection(**login_of(EMAILER, login))
    assert await RedisStates(channel, GROUP, VISITOR_CODEC).state(0, ANN) == Visitor(erased_ms=1)
    people = People(channel, f"{GROUP}:{EMAILER}", "a key", cap_ms=60_000)
    person = people.person("shop", "ann@mail.example")
    for number in "12":
        await people.reserve(trigger(number), person, None, 1)
    people.release(trigger("1"), person)
    people.note_bounce(person, 2)
    await people.settle()
    await channel.close()


async def test_the_operators_user_can_look_and_forget_a_shard(login, connection):
    store = RedisStore(connection, GROUP, VISITOR_CODEC)
    owner = await store.claim(0)
    await store.commit(owner, commit(1))
    operator = Connection(**login_of(OPERATOR, login))
    keys = [f"{GROUP}:{{0}}:{kind}" for kind in ("own", "state", "wake", "out")]
    assert await operator.client.hget(keys[0], "epoch") == b"1"
    assert await operator.client.hlen(keys[1]) == 1
    assert await operator.client.zcard(keys[2]) == 1
    assert await operator.client.hlen(keys[3]) == 1
    assert await operator.client.delete(*keys) == 4
    await operator.close()
    assert (await store.claim(0)).watermark == Watermark()


@pytest.mark.parametrize("call", ["set", "hset"])
async def test_a_script_reaches_no_further_than_its_user(connection, call):
    script = f"return redis.call('{call}', 'shop:x', 'a', 'b')"
    with pytest.raises(ResponseError, match="The user executing the script can't"):
        await connection.client.eval(script, 0)


async def test_nobody_is_let_in_without_a_name(login, secure_redis):
    for secret in ("", password("default"), password(WORKER)):
        connection = Connection(**login(url=secure_redis.url, password=secret), trial=True)
        with pytest.raises(CartwakeError, match="refuses this login: "):
            await connection.check()
        await connection.close()


@pytest.mark.parametrize("secret", ["", "wrong-secret"])
async def test_a_wrong_password_is_one_clear_line_without_it(login, secure_redis, log, secret):
    connection = Connection(**login(password=secret), trial=True)
    with pytest.raises(CartwakeError) as no:
        await connection.check()
    address = f"127.0.0.1:{secure_redis.tls_port}"
    assert str(no.value).startswith(f"Redis at {address} refuses this login: ")
    assert "\n" not in str(no.value)
    assert "secret" not in str(no.value)
    assert log.lines == []
    await connection.close()


async def test_a_server_that_no_known_authority_vouches_for_is_one_clear_line(login):
    connection = Connection(**login(ssl_cafile=""), trial=True)
    with pytest.raises(CartwakeError, match="has a certificate that is not to be trusted: ") as no:
        await connection.check()
    assert "\n" not in str(no.value)
    await connection.close()


async def test_a_server_of_another_name_is_not_trusted(login, secure_redis):
    # The name leads to the same server, whose certificate says 127.0.0.1 and localhost.
    url = secure_redis.url_of(WORKER).replace("127.0.0.1", "127.1")
    connection = Connection(**login(url=url), trial=True)
    with pytest.raises(CartwakeError, match=r"not to be trusted: .*127"):
        await connection.check()
    await connection.close()


def test_an_authority_that_is_none_is_refused_in_one_line(login, tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("hello\n")
    with pytest.raises(UsageError, match=rf"redis\.ssl_cafile: {file} is not PEM") as no:
        Connection(**login(ssl_cafile=str(file)))
    assert "\n" not in str(no.value)


async def test_keys_beyond_the_users_pattern_are_refused_at_the_start(login):
    connection = Connection(**login(), trial=True)
    await connection.check()
    with pytest.raises(CartwakeError, match="lets this user in, but not to what is needed"):
        await fix_partitions(connection, "another-group", 12)
    await connection.close()


async def test_a_worker_at_work_waits_while_its_rights_are_changed(connection, secure_redis, log):
    store = RedisStore(connection, GROUP, VISITOR_CODEC)
    owner = await store.claim(0)
    with secure_redis.client() as admin:
        admin.execute_command("ACL SETUSER", WORKER, "-zadd")
        step = asyncio.create_task(store.commit(owner, commit(1)))
        await log.said("lets this user in, but not to what is needed")
        assert not step.done()
        admin.execute_command("ACL SETUSER", WORKER, "+zadd")
    assert len(await step) == 1
    assert (await store.claim(0)).watermark == commit(1).watermark
    assert ["again" in line for line in log.lines] == [False, True]


async def test_a_worker_at_work_waits_while_its_password_is_changed(
    connection, login, secure_redis, log
):
    await connection.ask(lambda: connection.client.get("cartwake:partitions"))
    with secure_redis.client() as admin:
        admin.execute_command("ACL SETUSER", WORKER, f"<{password(WORKER)}", ">another")
        admin.client_kill_filter(_id=None, user=WORKER)
        answer = asyncio.create_task(
            connection.ask(lambda: connection.client.get("cartwake:partitions"))
        )
        await log.said("refuses this login: invalid username-password pair")
        assert not answer.done()
        admin.execute_command("ACL SETUSER", WORKER, "<another", f">{password(WORKER)}")
    assert await answer is None


def login_of(user, login):
    known = login()
    return known | {"url": known["url"].replace(WORKER, user), "password": password(user)}


async def is_refused(connection, command):
    try:
        await connection.client.execute_command(*command.split())
    except NoPermissionError:
        return True
    return False
