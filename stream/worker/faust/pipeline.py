"""The Faust app itself: agents that receive whole batches, and nothing of Faust's that listens."""

import faust

from stream.runtime.worker_clock import WorkerClock
from stream.worker.faust.transport import Consumer, Transport
from stream.worker.intake import Intake


class Pipeline(faust.App):  # type: ignore[misc, unused-ignore]
    """One worker's app; ``intake`` and ``clock`` are set before it starts."""

    intake: Intake
    clock: WorkerClock

    class BootStrategy(faust.app.BootStrategy):  # type: ignore[misc, unused-ignore]
        """Without Faust's web server, which binds every interface."""

        enable_web = False

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    _new_producer_transport = _new_transport

    def _create_directories(self) -> None:
        """Make none: there are no tables."""

    async def on_stop(self) -> None:
        """Let the steps under way end before anything is torn down."""
        if isinstance(self.consumer, Consumer):
            await self.consumer.finish()
        await super().on_stop()
