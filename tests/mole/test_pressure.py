"""How much work waits."""

from __future__ import annotations

from pathlib import Path

from cluster_dash_mole.pressure import PressureCollector, parse_pressure

IO = "some avg10=12.50 avg60=11.61 avg300=8.58 total=214904377\nfull avg10=3.25 avg60=0.00 avg300=0.00 total=4788304\n"


def collect(proc: Path) -> list[tuple[str, str, float | None]]:
    samples = PressureCollector(proc).collect().samples
    return [
        (sample.metric.name, (sample.tags or {})["resource"], sample.value)
        for sample in samples
        if sample.value is not None
    ]


def test_the_average_over_10_s_is_taken() -> None:
    assert parse_pressure(IO) == {"some": 12.5, "full": 3.25}


def test_each_resource_is_a_tag_and_the_cpus_full_pressure_which_means_nothing_is_left_out(tmp_path: Path) -> None:
    Path(tmp_path, "pressure").mkdir()
    for resource in ("cpu", "memory", "io"):
        Path(tmp_path, "pressure", resource).write_text(IO)
    assert collect(tmp_path) == [
        ("sys.pressure.some_percent", "cpu", 12.5),
        ("sys.pressure.some_percent", "memory", 12.5),
        ("sys.pressure.full_percent", "memory", 3.25),
        ("sys.pressure.some_percent", "io", 12.5),
        ("sys.pressure.full_percent", "io", 3.25),
    ]


def test_a_kernel_without_it_or_with_other_words_gives_nothing(tmp_path: Path) -> None:
    assert collect(tmp_path) == []
    assert parse_pressure("some avg10= avg60=1\nnonsense\nfull 3\n") == {}
    Path(tmp_path, "pressure/io").mkdir(parents=True)  # can be opened, not read, as with psi=0
    assert collect(tmp_path) == []
