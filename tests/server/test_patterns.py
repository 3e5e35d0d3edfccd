"""Names and patterns of hosts in the settings."""

from __future__ import annotations

import pytest

from cluster_dash_server.patterns import PatternError, Tags, expand


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("gpu1", ["gpu1"]),
        ("gpu[08-11]", ["gpu08", "gpu09", "gpu10", "gpu11"]),
        ("gpu[8-10].lab", ["gpu8.lab", "gpu9.lab", "gpu10.lab"]),
        ("r[1-2]n[1-2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
        ("x[3-3]", ["x3"]),
        ("日本", ["日本"]),
    ],
)
def test_a_range_stands_for_its_names(text: str, names: list[str]) -> None:
    assert expand(text) == names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "printable"),
        ("a\nb", "printable"),
        ("a\u202eb", "printable"),
        ("x" * 257, "printable"),
        ("gpu*", "are for tags"),
        ("gpu[3-1]", "begins with its smaller number"),
        ("gpu[a-b]", "two numbers in brackets"),
        ("gpu[1", "two numbers in brackets"),
        ("gpu1]", "two numbers in brackets"),
        ("gpu[1-200000]", "more than 100000 names"),
        ("[1-1000][1-1000]", "more than 100000 names"),
        ("[1-99999999999999]", "two numbers in brackets"),
    ],
)
def test_what_is_no_name_is_told_with_what_is_allowed(text: str, words: str) -> None:
    with pytest.raises(PatternError, match=words):
        expand(text)


def test_a_host_has_the_tags_whose_patterns_fit_it() -> None:
    tags = Tags({"rack-3": ["gpu[01-02]", "big*"], "h100": ["?pu01"], "all": ["*"], "none": []})
    assert tags.of("gpu01") == ["all", "h100", "rack-3"]
    assert tags.of("bigger") == ["all", "rack-3"]
    assert tags.of("GPU01") == ["all"]
    assert tags.names == ["all", "h100", "none", "rack-3"]


def test_what_a_regular_expression_would_mean_is_text() -> None:
    assert Tags({"t": ["a.b*"]}).of("axb1") == []
    assert Tags({"t": ["a.b*"]}).of("a.b(") == ["t"]
