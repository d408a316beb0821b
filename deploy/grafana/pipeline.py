"""For whoever is on call: the worker's way from a record to a published effect, and its servers."""

from deploy.grafana.parts import WINDOW, Board, Panel, Query, Row, each, per_minute, quantiles

PIPELINE = Board(
    "pipeline",
    "pipeline",
    "The workers: lag, shards, commits, outbox, and the servers that they need.",
    (
        Row(
            "In",
            (
                Panel(
                    "Events a minute",
                    "By what became of them. When dead letters or refusals rise, ask what a "
                    "producer or a consent banner changed.",
                    (per_minute("cartwake_events_total", "outcome"),),
                    "cpm",
                ),
                Panel(
                    "Event lag",
                    "A batch's oldest record to its commit. When it grows, add workers, or look "
                    "at commits.",
                    quantiles("cartwake_event_lag_seconds"),
                    "s",
                    limit=60,
                ),
                Panel(
                    "Records in a batch",
                    "Always the largest means a backlog.",
                    quantiles("cartwake_batch_records"),
                ),
                Panel(
                    "Odd times and choices, a minute",
                    "Clamped: a producer's clock is wrong, or it sends late. Stale: a producer "
                    "repeats old choices.",
                    (
                        Query(
                            f"60 * sum(rate(cartwake_events_clamped_total[{WINDOW}]))", "clamped"
                        ),
                        Query(f"60 * sum(rate(cartwake_consent_stale_total[{WINDOW}]))", "stale"),
                    ),
                    "cpm",
                ),
            ),
        ),
        Row(
            "Shards",
            (
                Panel(
                    "Owned",
                    "Over all workers as many as there are partitions.",
                    each("cartwake_shards_owned"),
                ),
                Panel(
                    "Stopped",
                    "Above 0: docs/runbooks/shard-stopped.md.",
                    each("cartwake_shards_stopped"),
                    limit=1,
                ),
                Panel(
                    "Fenced writes a minute",
                    "Some at a rebalance are right; a steady stream: paused or overloaded workers.",
                    (per_minute("cartwake_shard_fenced_total", "instance"),),
                    "cpm",
                ),
                Panel(
                    "Timers armed",
                    "Visitors with a wake-up ahead. A fall to zero with events still read: lost "
                    "state.",
                    each("cartwake_timers_armed"),
                ),
            ),
        ),
        Row(
            "Out",
            (
                Panel(
                    "Commit",
                    "One commit to Redis. When it grows: slow log, disk, network.",
                    quantiles("cartwake_commit_seconds"),
                    "s",
                ),
                Panel(
                    "Outbox",
                    "Committed and not acknowledged. When it keeps growing, Kafka does not take "
                    "what is sent.",
                    each("cartwake_outbox_entries"),
                ),
                Panel(
                    "Oldest in the outbox",
                    "For how long it has waited for Kafka. Beyond 30 s: docs/runbooks/outbox.md.",
                    each("cartwake_outbox_oldest_seconds"),
                    "s",
                    limit=30,
                ),
                Panel(
                    "Dead letters a minute",
                    "Look at them with cartwake dead-letters list.",
                    (per_minute("cartwake_dead_letters_total", "reason"),),
                    "cpm",
                ),
                Panel(
                    "Defects a minute",
                    "Exceptions that the code does not handle; each costs its unit of work only.",
                    (per_minute("cartwake_defects_total", "program, unit"),),
                    "cpm",
                ),
            ),
        ),
        Row(
            "Servers and clocks",
            (
                Panel(
                    "Answers",
                    "1 while it answers; at 0 the worker waits and loses nothing.",
                    (
                        Query("cartwake_kafka_up", "Kafka, {{instance}}"),
                        Query("cartwake_redis_up", "Redis, {{instance}}"),
                    ),
                ),
                Panel(
                    "Redis's memory",
                    "Used, and the limit; beyond four fifths: docs/runbooks/redis-memory.md.",
                    (
                        Query("max by (server) (cartwake_redis_memory_bytes)", "used, {{server}}"),
                        Query(
                            "max by (server) (cartwake_redis_memory_limit_bytes)",
                            "limit, {{server}}",
                        ),
                    ),
                    "bytes",
                ),
                Panel(
                    "Clock skew",
                    "What a clock is ahead of the time that the worker goes by. Beyond 5 s either "
                    "way: set it right.",
                    each("cartwake_clock_skew_seconds", "{{clock}}, {{instance}}"),
                    "s",
                    limit=5,
                ),
                Panel(
                    "Work that has not moved",
                    "For how long a shard has had work and has stood still, the longest of each "
                    "worker. Beyond 30 s: docs/runbooks/shard-stalled.md.",
                    each("cartwake_shard_still_seconds"),
                    "s",
                    limit=30,
                ),
                Panel(
                    "Processes that answer Prometheus",
                    "By job. One fewer than before: it has ended, or cannot be reached.",
                    (Query('sum by (job) (up{job=~"cartwake-.*"})', "{{job}}"),),
                ),
            ),
        ),
    ),
)
