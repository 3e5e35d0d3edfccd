"""Takes a decoded post, gives nothing where machine-post-schema.json allows it, else a refusal that says what is wrong.

The compiled validator (jsonschema-rs, microseconds) decides and finds the place; `jsonschema` is asked about that place
alone, for the words. Its messages quote what was sent, so ours are made of the rule: no value, which might be a secret.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import jsonschema
import jsonschema_rs
from jsonschema.exceptions import ValidationError

from ..errors import Refusal

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parent.parent / "machine-post-schema.json").read_text("utf-8"))
_compiled = jsonschema_rs.validator_for(SCHEMA)

LONGEST_NAME = 80


def check_post(post: Any) -> None:
    """Raises Refusal(400)."""
    try:
        _compiled.validate(post)
    except jsonschema_rs.ValidationError as error:
        raise Refusal(400, "schema violation: " + word(post, error)) from None
    for metric, columns in post.get("metrics", {}).items():
        for column in ("device", "tags"):
            if column in columns and len(columns[column]) != len(columns["value"]):
                place = path_of(["metrics", metric, column])
                raise Refusal(400, f"schema violation: {place} must be as long as value, a row for each")


def word(post: Any, found: jsonschema_rs.ValidationError) -> str:
    """What `jsonschema` says of the one rule and place that were found; over a whole post it can take seconds."""
    *parents, rule = found.schema_path
    schema: Any = SCHEMA
    for step in parents:
        schema = schema[step]
    instance: Any = found.instance
    leaf = {rule: schema[rule], "description": schema.get("description", "")}
    errors = jsonschema.Draft202012Validator(leaf).iter_errors(instance)  # pyright: ignore[reportUnknownMemberType]
    error = next(errors, None)
    where = path_of(keys_of(post, found.instance_path))
    return describe(where, error) if error else f"{where} doesn't fit the rule {rule}"


def keys_of(place: Any, path: list[Any]) -> list[Any]:
    """The path in the post's own keys: the validator gives a name of digits, as that of a process, as a number."""
    keys: list[Any] = []
    for step in path:
        if isinstance(place, list):
            keys.append(step)
            place = cast("list[Any]", place)[step]
        else:
            keys.append(str(step))
            place = cast("dict[str, Any]", place).get(str(step), {})  # a name as 007 is given without its zeros
    return keys


def path_of(keys: list[Any]) -> str:
    """`gpu["0_A100_66667c"].total_mem`, each name cut to a bearable length."""
    path = ""
    for key in keys:
        if isinstance(key, int):
            path += f"[{key}]"
        elif str(key).isidentifier() and len(key) <= LONGEST_NAME:
            path += f".{key}" if path else key
        else:
            path += f"[{json.dumps(str(key)[:LONGEST_NAME])}]"
    return path or "the post"


def describe(place: str, error: ValidationError) -> str:
    """Where, and what would be right; never what was sent."""
    rule = str(error.validator)
    allowed: Any = error.validator_value
    if rule == "required":
        instance: Any = error.instance  # pyright: ignore[reportUnknownMemberType]
        missing = [name for name in allowed if name not in instance]
        return f"{place} lacks {', '.join(missing)}"
    if rule == "type":
        return f"{place} must be of type {allowed if isinstance(allowed, str) else ' or '.join(allowed)}"
    if rule == "not":
        schema: Any = error.schema
        return f"{place} must have {schema['description']}"
    return f"{place} {_WORDS.get(rule, 'must fit the rule ' + rule)} {_shown(allowed)}".rstrip()


_WORDS = {
    "minimum": "must be at least",
    "maximum": "must be at most",
    "exclusiveMinimum": "must be more than",
    "minLength": "is too short, the least is",
    "maxLength": "is too long, the most is",
    "minItems": "has too few items, the least is",
    "maxItems": "has too many items, the most is",
    "maxProperties": "has too many entries, the most is",
    "enum": "must be one of",
}


def _shown(allowed: Any) -> str:
    if isinstance(allowed, list):
        return ", ".join(json.dumps(value) for value in cast("list[Any]", allowed))
    return str(allowed) if isinstance(allowed, (int, float)) else ""
