"""Grafana's dashboards as code; ``python -m deploy.grafana`` writes them as JSON.

The one rule: what is not asked for by a panel here is not on a dashboard. The JSON is generated.
"""

from deploy.grafana.decisions import DECISIONS
from deploy.grafana.edge import EDGE
from deploy.grafana.mails import MAILS
from deploy.grafana.models import MODELS
from deploy.grafana.overview import OVERVIEW
from deploy.grafana.parts import Board
from deploy.grafana.pipeline import PIPELINE

BOARDS: tuple[Board, ...] = (OVERVIEW, PIPELINE, DECISIONS, MODELS, EDGE, MAILS)
