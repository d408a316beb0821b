"""The pipeline on one page: what is read, by which agents, and what the clock does."""

from collections.abc import Sequence

from aiokafka import ConsumerRecord
from faust.types import StreamT

from stream.adapters.kafka.record_batches import RecordBatches
from stream.adapters.kafka.sink import KafkaSink
from stream.adapters.redis.connection import Connection, connected
from stream.adapters.redis.models import RedisModels
from stream.adapters.redis.store import RedisStore
from stream.adapters.wire.outgoing import outgoing, source_of
from stream.config.policy import policies_of, tolerance_of
from stream.config.settings import Settings
from stream.domain.topics import LANES, TRAINING_EXAMPLES
from stream.domain.visitor import Visitor, VisitorKey
from stream.entities.visitors import VISITOR_CODEC, VisitorEntity
from stream.learning.scorer import ModelScorer
from stream.runtime.fatal import fatal
from stream.runtime.worker_clock import WorkerClock
from stream.shard.ports import Store
from stream.worker import process
from stream.worker.claimed import ClaimedShard
from stream.worker.faust.options import faust_options
from stream.worker.faust.pipeline import Pipeline
from stream.worker.faust.transport import AsIs
from stream.worker.intake import Intake
from stream.worker.liveness import WorkerLiveness
from stream.worker.metrics import Metrics
from stream.worker.observe import observe_memory
from stream.worker.shards import FINISH_WITHIN_S, Shards
from stream.worker.training import Serving, Training

BEAT_S = 1.0
LEARN_S = 2.0
MEMORY_S = 15.0


def build_app(settings: Settings, metrics: Metrics, liveness: WorkerLiveness) -> Pipeline:
    """Return the app of one worker; nothing connects before it is started."""
    group = settings.worker.group
    app = Pipeline(group, **faust_options(settings))
    app.clock = WorkerClock()
    redis, scorer = connected(settings.redis), ModelScorer()
    models = RedisModels(redis, group)
    store = RedisStore(redis, group, VISITOR_CODEC, metrics.commit_seconds.observe)
    shards = _shards(app, settings, store, scorer, metrics)
    app.intake = Intake(shards, Training(models, metrics))
    serving = Serving(models, scorer, metrics)
    inputs = app.topic(*LANES, schema=AsIs(), acks=False)
    examples = app.topic(TRAINING_EXAMPLES, schema=AsIs(), acks=False)

    @app.agent(inputs, name="shards")
    async def fold(turns: StreamT[Sequence[ClaimedShard[VisitorKey, Visitor]]]) -> None:
        async for turn in turns:
            with fatal("beginning steps"):
                app.intake.shards.begin(*turn)

    @app.agent(examples, name="trainer")
    async def train(batches: StreamT[Sequence[ConsumerRecord]]) -> None:
        async for batch in batches:
            with fatal("learning"):
                await app.intake.training.learn(batch)

    @app.timer(LEARN_S, name="models")
    async def exchange_models() -> None:
        with fatal("exchanging models"):
            await app.intake.training.save()
            await serving.refresh()

    _watch(app, redis, metrics, liveness)
    return app


def _watch(app: Pipeline, redis: Connection, metrics: Metrics, liveness: WorkerLiveness) -> None:
    """Look at clocks, servers and progress, again and again."""

    @app.timer(BEAT_S, name="clock")
    async def compare_clocks() -> None:
        with fatal("comparing clocks"):
            await app.clock.compare(redis.time_ms)

    @app.timer(BEAT_S, name="liveness")
    async def observe() -> None:
        with fatal("observing liveness"):
            liveness.observe(app.intake, redis, app.clock)

    @app.timer(MEMORY_S, name="memory")
    async def measure_memory() -> None:
        with fatal("measuring Redis's memory"):
            observe_memory(metrics, await redis.memory())


def _shards(
    app: Pipeline,
    settings: Settings,
    store: Store[VisitorKey, Visitor],
    scorer: ModelScorer,
    metrics: Metrics,
) -> Shards[VisitorKey, Visitor]:
    source, session_s = source_of(settings.worker.group), settings.worker.session_timeout_s
    batches = RecordBatches(lambda: app.producer.aiokafka)  # type: ignore[attr-defined]  # our own
    sink = KafkaSink(batches, fresh_s=min(session_s / 2, FINISH_WITHIN_S))
    return Shards(
        store,
        sink,
        lambda effect, recorded_ms: outgoing(effect, recorded_ms, source),
        VisitorEntity(policies_of(settings), scorer),
        metrics,
        app.clock.now_ms,
        tolerance=tolerance_of(settings),
        live=settings.worker.clock == "live",
        session_timeout_s=session_s,
    )


def run_worker(settings: Settings) -> int:
    """Run a worker until it receives a signal to stop, and return its exit code."""
    return process.run(settings, build_app)
