"""Why a GPU's clocks are lower than they could be."""

from __future__ import annotations

from cluster_dash_server.throttle import reasons_of


def test_reasons_are_named_and_being_idle_is_none() -> None:
    assert reasons_of(0x1) == []
    assert reasons_of(0x4 | 0x1) == ["power limit"]
    assert reasons_of(0x60) == ["too hot (software)", "too hot (hardware)"]


def test_what_is_not_known_gives_no_reason_and_a_new_bit_its_number() -> None:
    assert reasons_of(None) == []
    assert reasons_of(0) == []
    assert reasons_of(1 << 40) == ["reason 0x10000000000"]
