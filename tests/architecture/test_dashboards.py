"""Dashboards show only what coordinators tell."""

import json
import re
from pathlib import Path

from coordinator.metrics import Metrics

DASHBOARDS = sorted((Path(__file__).resolve().parents[2] / "infra/grafana/dashboards").glob("*.json"))
METRIC = re.compile(r"bandwatch_\w+")
ENDINGS = ("", "_total", "_bucket", "_count", "_sum")


def test_every_metric_of_a_dashboard_exists() -> None:
    known = {f"{family.name}{ending}" for family in Metrics().registry.collect() for ending in ENDINGS}
    assert DASHBOARDS
    for dashboard in DASHBOARDS:
        panels = json.loads(dashboard.read_text())["panels"]
        shown = {name for panel in panels for target in panel["targets"] for name in METRIC.findall(target["expr"])}
        assert shown
        assert shown <= known
