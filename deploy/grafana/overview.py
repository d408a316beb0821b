"""For everybody: what shoppers get, and whether what is promised holds."""

from deploy.grafana.parts import Board, Panel, Query, Row, figure, per_minute, quantiles

OVERVIEW = Board(
    "overview",
    "overview",
    "What shoppers get, and whether what is promised holds.",
    (
        Row(
            "Now",
            (
                figure(
                    "Alerts",
                    "Alerts that fire; each names its page in docs/runbooks.",
                    'count(ALERTS{alertname=~"Cartwake.*", alertstate="firing"}) or vector(0)',
                    limit=1,
                ),
                figure(
                    "Fire lag, p99",
                    "From due to decided, within five minutes; promised is 1 s.",
                    "cartwake:fire_lag_seconds:p99_5m",
                    "s",
                    limit=1,
                ),
                figure(
                    "Exit answer, p99",
                    "From a signal's record to the acknowledged trigger; promised are 100 ms.",
                    "cartwake:exit_answer_seconds:p99_5m",
                    "s",
                    limit=0.1,
                ),
                figure(
                    "Dead letters in an hour",
                    "Records that can never be processed: cartwake dead-letters list.",
                    "sum(increase(cartwake_dead_letters_total[1h]))",
                ),
                figure(
                    "Shards owned",
                    "As many as there are partitions; if not, some are stopped or nobody's.",
                    "sum(cartwake_shards_owned)",
                ),
                figure(
                    "Shards stopped",
                    "Their shoppers hear nothing until somebody looks.",
                    "sum(cartwake_shards_stopped)",
                    limit=1,
                ),
            ),
        ),
        Row(
            "What shoppers get",
            (
                Panel(
                    "Triggers a minute",
                    "What was decided to be done; none at the busy hour of the shop is a fault.",
                    (per_minute('cartwake_decisions_total{outcome="fired"}', "kind"),),
                    "cpm",
                ),
                Panel(
                    "On the page, a minute",
                    "What became of on-site triggers: unheard are those for whom no page waited.",
                    (per_minute("cartwake_edge_actions_total", "outcome"),),
                    "cpm",
                ),
                Panel(
                    "Messages a minute",
                    "What became of triggers by mail or webhook; of refused ones the next hop "
                    "says why.",
                    (per_minute("cartwake_delivery_messages_total", "channel, outcome"),),
                    "cpm",
                ),
            ),
        ),
        Row(
            "What is promised",
            (
                Panel(
                    "Fire lag",
                    "From due to decided. When it grows a backlog drains: see the pipeline.",
                    quantiles("cartwake_trigger_fire_lag_seconds"),
                    "s",
                    limit=1,
                ),
                Panel(
                    "Exit answer",
                    "From a record to the trigger that it caused, acknowledged.",
                    quantiles("cartwake_trigger_end_to_end_seconds"),
                    "s",
                    limit=0.1,
                ),
                Panel(
                    "Budget burnt",
                    "How many times faster than agreed the month's budget of late ones is used "
                    "up, within an hour; above 14.4 somebody is woken.",
                    (
                        Query("cartwake:fire_lag_late:ratio_rate1h / 0.01", "fire lag"),
                        Query("cartwake:exit_answer_late:ratio_rate1h / 0.01", "exit answer"),
                    ),
                    limit=14.4,
                ),
            ),
        ),
    ),
)
