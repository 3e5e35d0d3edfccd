"""What a person sees on a terminal."""

from __future__ import annotations

from typing import Any

from cluster_dash_mole.table import render_table


def post(**gpu: Any) -> dict[str, Any]:
    entry = {"name": "NVIDIA H100 80GB HBM3", "index": 0, "total_mem": 81920, "used_mem": 8192, "gpu_util": 98}
    return {
        "hostname": "molgpu02",
        "cpu": {"cpu_percent": 44.0, "load_avgs": [0.31, 0.28, 0.31]},
        "memory": {"total_gb": 251.6, "used_gb": 11.2},
        "disk": {"/": {"mount_point": "/", "percent_used": 46.4}, "/d": {"mount_point": "/d", "percent_used": 91.0}},
        "gpu": {"0_x_y": {**entry, "state": "ok", "users": {"alice": {}, "bob": {}}, **gpu}},
    }


def test_a_line_for_the_host_and_one_for_each_gpu() -> None:
    assert render_table(post()).split("\n") == [
        "molgpu02          cpu  44.0 %  load   0.31  mem   11.2 /  251.6 GiB  91 % of /d",
        "  0  NVIDIA H100 80GB HBM3    98 %    8.0 /  80.0 GiB  alice bob",
    ]


def test_what_is_missing_is_a_dash() -> None:
    bare: dict[str, Any] = {"hostname": "h", "cpu": {}, "gpu": post(gpu_util=None, used_mem=None, users=None)["gpu"]}
    host, gpu = render_table(bare).split("\n")
    assert "cpu     - %" in host
    assert "  - %      - /  80.0 GiB" in gpu


def test_a_lost_gpu_says_why() -> None:
    assert "lost: GPU is lost" in render_table(post(state="lost", error="GPU is lost"))


def test_a_gpu_without_an_index_has_a_line_too() -> None:
    assert "  -  NVIDIA H100" in render_table(post(index=None, state="lost", error="not listed"))


def test_no_name_can_steer_the_terminal_or_break_a_line() -> None:
    hostile: dict[str, Any] = {"evil\x1b[2J\x07\n\u202eeman": {}}
    text = render_table(post(users=hostile, name="\x1b]0;owned\x07"))
    assert all(letter == "\n" or letter.isprintable() for letter in text)
    assert len(text.split("\n")) == 2


def test_no_line_is_wider_than_the_terminal() -> None:
    wide = render_table(post(users={f"user{number}": {} for number in range(50)}), 80)
    assert max(len(line) for line in wide.split("\n")) == 80
