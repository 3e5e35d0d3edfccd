"""Command lines on a page: what a person knows a job by stays, what looks like a secret goes."""

from __future__ import annotations

import pytest

from cluster_dash_mole.commands import LONGEST, parse_command, redact


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["--api-key", "canary"], "--api-key ***"),
        (["--token=canary", "--lr", "1"], "--token=*** --lr 1"),
        (["--hub_token=a canary"], "--hub_token=***"),
        (["--password", "-canary", "x"], "--password *** x"),
        (["--password", "1234"], "--password ***"),
        (["WANDB_API_KEY=canary", "python"], "WANDB_API_KEY=*** python"),
        (["-passin", "canary"], "-passin ***"),
        (["--apiKey=canary"], "--apiKey=***"),
        (["--auth", "canary"], "--auth ***"),
        (["--credentials:canary"], "--credentials:***"),
        (["-c", "login(token='canary', x=1)"], "-c login(token=***, x=1)"),
        (["-c", 'd = {"secret": "can ary", "n": 1}'], '-c d = {"secret": ***, "n": 1}'),
        (["--header", "Authorization: Bearer canary"], "--header Authorization: *** ***"),
        (["https://me:canary@host/path"], "https://***@host/path"),
        (["https://host/?token=canary&x=1"], "https://host/?token=***&x=1"),
        (["postgres://canary@host"], "postgres://***@host"),
        (["run", "sk-canary-0123456789"], "run ***"),
        (["run", "x=hf_canary0123456789"], "run x=***"),
        (["ghp_canary0123456789", "AKIACANARY0123456789"], "*** ***"),
        (["--use-auth-token", "--lr", "canary-free"], "--use-auth-token --lr canary-free"),
        (["--max-tokens", "4096"], "--max-tokens 4096"),
        (["--max_new_tokens=512", "--tokens", "canary"], "--max_new_tokens=512 --tokens ***"),
        (["--tokenizer", "meta-llama/Llama-3-8B"], "--tokenizer meta-llama/Llama-3-8B"),
        (["--tokenizer-key", "canary"], "--tokenizer-key ***"),
        (["--num-passes=3", "--keypoints", "17"], "--num-passes=3 --keypoints 17"),
        (["python", "train.py", "--lr=1e-4"], "python train.py --lr=1e-4"),
    ],
)
def test_secrets_are_blanked_and_the_rest_is_shown(given: list[str], shown: str) -> None:
    assert " ".join(redact(given)) == shown


def test_a_command_line_is_short_and_of_one_line() -> None:
    shown = parse_command(b"python\0-c\0a\nb\x1b[2J\0" + b"x" * 9000 + b"\0")
    assert shown is not None
    assert shown.startswith("python -c a b [2Jx"[:15])
    assert len(shown) == LONGEST
    assert shown.endswith("…")


def test_a_secret_at_the_cut_is_blanked_before_it() -> None:
    shown = parse_command(b"x" * (LONGEST - 20) + b"\0--token\0canarycanarycanary\0")
    assert shown is not None
    assert "canary" not in shown


@pytest.mark.parametrize(
    "part", ["x", "eyJ-", "a=", "token=", "a:", '"', " ", "a://", "token=' ", "bearer ", "sk-", "hf_"]
)
@pytest.mark.timeout(20)
def test_no_command_line_is_read_without_an_end(part: str) -> None:
    """A pattern that tries all ways through 16 KiB of one part would need minutes."""
    shown = parse_command(part.encode() * (16384 // len(part)))
    assert shown is None or len(shown) <= LONGEST


def test_damaged_bytes_and_empty_command_lines_survive() -> None:
    assert parse_command(b"python\0\xff\0") == "python \\xff"
    assert parse_command(b"") is None
