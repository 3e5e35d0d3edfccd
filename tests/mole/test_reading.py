"""Metrics as columns."""

from __future__ import annotations

import math
from pathlib import Path

import psutil

from cluster_dash_mole.reading import KeptFile, Metric, Sample, assemble_metrics

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


def test_a_kept_file_gives_what_it_holds_now_whole_and_comes_back_after_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "stat"
    file = KeptFile(path)
    assert file.read_optional() == ""
    before = psutil.Process().num_fds()
    for text in ("first", "2" * 200_000, ""):
        path.write_text(text)
        assert file.read_text() == text
    assert psutil.Process().num_fds() == before + 1
    del file
    assert psutil.Process().num_fds() == before


def test_a_kept_file_of_the_kernel_is_read_whole_each_time() -> None:
    file = KeptFile(Path("/proc/self/mountinfo"))
    assert file.read_text() == file.read_text() == Path("/proc/self/mountinfo").read_text()
