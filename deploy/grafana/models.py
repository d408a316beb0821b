"""For whoever uses scores: how good the models are, and whether they still learn."""

from deploy.grafana.parts import Board, Panel, Query, Row

MODELS = Board(
    "models",
    "models",
    "How good the models are, scored before learnt, and whether they still learn.",
    (
        Row(
            "Quality",
            (
                Panel(
                    "Area under the ROC curve",
                    "0.5 is a coin: do not act on the scores. Of the worker that trains.",
                    (Query("max by (model) (cartwake_model_roc_auc)", "{{model}}"),),
                ),
                Panel(
                    "Log loss",
                    "When it rises, shoppers or features have changed: look at the shop's latest "
                    "deployment.",
                    (Query("max by (model) (cartwake_model_log_loss)", "{{model}}"),),
                ),
            ),
        ),
        Row(
            "Learning",
            (
                Panel(
                    "Examples learnt",
                    "By what is served. When it stands still, the trainer does not run.",
                    (Query("max by (model) (cartwake_model_version)", "{{model}}"),),
                ),
                Panel(
                    "Learnt in an hour",
                    "New examples; as many as visits whose end has become known.",
                    (Query("max by (model) (delta(cartwake_model_version[1h]))", "{{model}}"),),
                ),
                Panel(
                    "Workers behind the newest model",
                    "Examples that the oldest served model lacks; for more than seconds: that "
                    "worker cannot read Redis.",
                    (
                        Query(
                            "max by (model) (cartwake_model_version)"
                            " - min by (model) (cartwake_model_version)",
                            "{{model}}",
                        ),
                    ),
                ),
            ),
        ),
    ),
)
