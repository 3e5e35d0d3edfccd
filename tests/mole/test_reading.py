"""Metrics as columns."""

from __future__ import annotations

import math

from cluster_dash_mole.reading import Metric, Sample, assemble_metrics

POWER = Metric("sys.gpu.power_w", "W", "power")


def test_a_missing_value_is_left_out_with_its_device() -> None:
    samples = [Sample(POWER, 55.0, 0), Sample(POWER, None, 1), Sample(POWER, math.nan, 2), Sample(POWER, 0.0, 3)]
    assert assemble_metrics(samples) == {
        "sys.gpu.power_w": {"unit": "W", "help": "power", "value": [55.0, 0.0], "device": [0, 3]}
    }


def test_a_metric_that_nobody_could_read_is_absent() -> None:
    assert assemble_metrics([Sample(POWER, None, 0)]) == {}


def test_a_metric_without_devices_has_no_such_column() -> None:
    columns = assemble_metrics([Sample(POWER, 1.0), Sample(POWER, 2.0, tags={"disk": "a"})])["sys.gpu.power_w"]
    assert columns == {"unit": "W", "help": "power", "value": [1.0, 2.0], "tags": [{}, {"disk": "a"}]}
