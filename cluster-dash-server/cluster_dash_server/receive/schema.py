"""Takes a decoded post, gives nothing where machine-post-schema.json allows it, else a refusal that says what is wrong.

The compiled validator (jsonschema-rs, microseconds) decides and finds the place. The words are made of the rule alone:
no value, which might be a secret.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import jsonschema_rs

from ..config import Limits
from ..errors import Refusal
from ..hostnames import is_composed
from .bodies import path_of

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parent.parent / "machine-post-schema.json").read_text("utf-8"))

SETTINGS: dict[tuple[str, ...], str] = {
    ("properties", "gpu", "maxProperties"): "gpus",
    ("properties", "disk", "maxProperties"): "mounts",
    ("$defs", "label", "maxLength"): "name_length",
    ("$defs", "name", "maxLength"): "name_length",
}
"""Where a setting of [limits] overrides the schema."""


class Schema:
    """The rules for a post, with the limits that are configured."""

    def __init__(self, limits: Limits) -> None:
        self.rules = copy.deepcopy(SCHEMA)
        for (*parents, rule), setting in SETTINGS.items():
            _at(self.rules, parents)[rule] = getattr(limits, setting)
        self._compiled = jsonschema_rs.validator_for(self.rules)

    def check(self, post: Any) -> None:
        """Raises Refusal(400)."""
        try:
            self._compiled.validate(post)
        except jsonschema_rs.ValidationError as error:
            raise Refusal(400, "schema violation: " + self._word(post, error)) from None
        if not is_composed(post["hostname"]):
            raise Refusal(400, "schema violation: hostname must have its letters in Unicode's composed form (NFC)")
        for metric, columns in post.get("metrics", {}).items():
            for column in ("device", "tags"):
                if column in columns and len(columns[column]) != len(columns["value"]):
                    place = path_of(["metrics", metric, column])
                    raise Refusal(400, f"schema violation: {place} must be as long as value, a row for each")

    def _word(self, post: Any, found: jsonschema_rs.ValidationError) -> str:
        """Where, and what would be right; never what was sent."""
        *parents, rule = found.schema_path
        keys = next(_meant(post, found.instance_path), found.instance_path)
        is_name = isinstance(found.kind, jsonschema_rs.ValidationErrorKind.PropertyNames)
        place = f"a name in {path_of(keys)}" if is_name else path_of(keys)
        words = f"{place} {describe(str(rule), _at(self.rules, parents), found.instance)}"
        setting = SETTINGS.get(tuple(map(str, found.schema_path)))
        return f"{words} ([limits] {setting})" if setting else words


def _at(schema: Any, keys: list[Any]) -> Any:
    for key in keys:
        schema = schema[key]
    return schema


def _meant(document: Any, path: list[str | int]) -> Iterator[list[str | int]]:
    """The places that jsonschema-rs may mean by this path: it tells the key "4711" as 4711, and "007" as 7."""
    if not path:
        yield []
        return
    step, *rest = path
    steps: list[str | int] = [step]
    if isinstance(document, dict):
        keys = cast("dict[str, Any]", document)
        steps = [step] if step in keys else [key for key in keys if _is_read_as(key, step)]
    for each in steps:
        for below in _meant(document[each], rest):
            yield [each, *below]


def _is_read_as(key: str, step: str | int) -> bool:
    digits = key.removeprefix("+")
    return (
        isinstance(step, int) and len(digits) <= 20 and digits.isascii() and digits.isdecimal() and int(digits) == step
    )


def describe(rule: str, schema: dict[str, Any], instance: Any) -> str:
    """What `rule` of this schema wants, said behind the place's name."""
    allowed: Any = schema[rule]
    if rule == "required":
        return f"lacks {', '.join(name for name in allowed if name not in instance)}"
    if rule == "type":
        return f"must be of type {allowed if isinstance(allowed, str) else ' or '.join(allowed)}"
    if rule == "not":
        return f"must have {schema['description']}"
    words = f"{_WORDS.get(rule, 'must fit the rule ' + rule)} {_shown(allowed)}".rstrip()
    return f"{words}: {schema['description']}" if rule in _RANGE and "description" in schema else words


_RANGE = ("minimum", "maximum")

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
