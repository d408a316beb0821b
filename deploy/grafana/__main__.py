"""Write the dashboards where Grafana's provisioning finds them."""

from pathlib import Path

from deploy.grafana import BOARDS
from deploy.grafana.drawn import drawn

FOLDER = Path(__file__).parent / "dashboards"

if __name__ == "__main__":
    for board in BOARDS:
        (FOLDER / f"{board.name}.json").write_text(drawn(board))
