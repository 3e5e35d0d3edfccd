"""`[store] url`: what it may be, and what is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster_dash_server.store.target import StoreUrlError, target_of

STATE = Path("/state")


def test_none_keeps_nothing_and_empty_is_the_state_folder() -> None:
    assert target_of("none", STATE) is None
    target = target_of("", STATE)
    assert target
    assert target.folder == STATE
    strange = target_of("", Path("/srv/#1 state?"))
    assert strange
    assert strange.folder == Path("/srv/#1 state?")


def test_a_folder() -> None:
    target = target_of("chdb:///srv/history", STATE)
    assert target
    assert (target.folder, target.shown) == (Path("/srv/history"), "chdb:///srv/history")


def test_a_server_is_shown_without_its_password() -> None:
    target = target_of("https://me:secret@db.lab:9443/history", STATE)
    assert target
    assert target.options["password"] == "secret"
    assert target.shown == "https://db.lab:9443/history"
    plain = target_of("http://db.lab", STATE)
    assert plain
    assert plain.shown == "http://db.lab:8123/training_observability"


@pytest.mark.parametrize(
    "url",
    [
        *("nothing", "chdb://relative/x", "chdb:", "chdb:///", "chdb:////", "chdb:///srv/a?b", "chdb:///srv/a#b"),
        *("ftp://me:secret@x/", "http://", "http://me:secret@x:99999", "http://x/a;b", "http://x/1a"),
        *(
            "http://me:secret@[::1",
            "http://me:secret@x/a?password=secret",
            "http://me:sec/secret@x",
            "http://me:s#secret@x",
        ),
    ],
)
def test_what_is_none_is_told_without_its_password(url: str) -> None:
    with pytest.raises(StoreUrlError) as caught:
        target_of(url, STATE)
    assert "must" in str(caught.value)
    assert "secret" not in str(caught.value)
