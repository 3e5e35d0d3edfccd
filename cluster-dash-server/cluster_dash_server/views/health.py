"""`GET /health`: whether the server does its work, and with `?verbose` how its clock and each background thread
are.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, jsonify, request

from ..background import Background
from .login import may_look


class Health:
    def __init__(
        self,
        background: list[Background],
        notes: Callable[[], list[str]] = list,
        clock: Callable[[], dict[str, object]] = dict,
        troubles: Callable[[], list[str]] = list,
    ) -> None:
        self._background = background
        self._notes = notes
        self._clock = clock
        self._troubles = troubles

    def reasons(self) -> list[str]:
        """Why the server is not healthy; none where it is."""
        failing = [f"{step.name}: {step.last_error}" for step in self._background if step.last_error]
        return (
            failing
            + self._troubles()
            + [f"{step.name}: its thread has ended" for step in self._background if step.has_died]
        )

    def routes(self) -> Blueprint:
        blueprint = Blueprint("health", __name__)

        @blueprint.get("/health")
        def health() -> Response:
            reasons = self.reasons()
            body: dict[str, object] = {"status": "failing", "reasons": reasons} if reasons else {"status": "ok"}
            if not may_look():
                body = {"status": body["status"]}
            elif notes := self._notes():  # a person should look; the server does its work
                body["notes"] = notes
            if "verbose" in request.args:
                body["clock"] = self._clock()
                body["threads"] = [
                    {
                        "name": step.name,
                        "state": step.state,
                        "failures": step.failures,
                        "last_error": step.last_error,
                    }
                    for step in self._background
                ]
            response = jsonify(body)
            response.status_code = 503 if reasons else 200
            return response

        return blueprint
