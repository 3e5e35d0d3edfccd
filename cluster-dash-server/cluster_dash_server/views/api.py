"""The fleet as JSON, and where to run next: `/api/hosts`, `/api/gpus`, `/api/free`, `/free.txt`."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response, jsonify, request
from werkzeug.datastructures import MultiDict

from ..errors import Refusal
from ..patterns import Tags
from .fleet.free import MOST_GPUS, MOST_MEM_GIB, Asked, Offer, most_on_a_host, offers
from .fleet.model import Fleets, Look
from .fleet.row import Row
from .free_text import closest_text, free_text
from .kiosk import is_kiosk

PARAMETERS = ("gpus", "mem", "model", "tag", "kiosk")
LONGEST_TEXT = 256


def routes(fleets: Fleets) -> Blueprint:
    blueprint = Blueprint("api", __name__)

    def look() -> Look:
        return fleets.shown(kiosk=is_kiosk()).look()

    @blueprint.get("/api/hosts")
    def api_hosts() -> Response:
        now = look()
        hosts = [host_document(row, now.mono_s) for row in now.rows]
        return jsonify({"now": now.now_s, "totals": now.totals, "users": now.users, "hosts": hosts})

    @blueprint.get("/api/gpus")
    def api_gpus() -> Response:
        now = look()
        hosts = (host_document(row, now.mono_s) for row in now.rows)
        gpus = [{"host": host["name"], "model": host["model"], **gpu} for host in hosts for gpu in host["gpus"]]
        return jsonify({"now": now.now_s, "totals": now.totals, "gpus": gpus})

    @blueprint.get("/api/free")
    def api_free() -> Response:
        asked, now = read_asked(request.args, fleets.named.tags), look()
        found = offers(now.rows, asked, now.mono_s)
        answer: dict[str, Any] = {
            "now": now.now_s,
            "asked": {"gpus": asked.gpus, "mem": asked.mem_gib, "model": asked.model, "tag": asked.tag},
            "hosts": [_offer(offer, now.mono_s) for offer in found],
        }
        return jsonify(answer if found else answer | {"closest": _closest(asked, now)})

    @blueprint.get("/free.txt")
    def free() -> Response:
        """404 where nothing fits, so that `curl -f` ends with an error then."""
        asked, now = read_asked(request.args, fleets.named.tags), look()
        found = offers(now.rows, asked, now.mono_s)
        text = free_text(asked, found, "" if found else _closest(asked, now), now.mono_s)
        return Response(text, 200 if found else 404, mimetype="text/plain")

    return blueprint


def host_document(row: Row, mono_s: float) -> dict[str, Any]:
    """A row, with the UUIDs of all its GPUs."""
    host = orjson.loads(row.json.filled(mono_s))
    for gpu, uuid in zip(host["gpus"], row.uuids, strict=True):
        gpu["uuid"] = uuid
    return host


def read_asked(parameters: MultiDict[str, str], tags: Tags) -> Asked:
    """Raises Refusal(400), which says what is right."""
    unknown = [name for name in parameters if name not in PARAMETERS]
    if unknown:
        raise Refusal(400, f"{unknown[0][:LONGEST_TEXT]!a} is no parameter; there are: {', '.join(PARAMETERS)}")
    model, tag = parameters.get("model", ""), parameters.get("tag", "")
    if tag and tag not in tags.names:
        known = f"there are: {', '.join(tags.names)}" if tags.names else "the settings have none ([hosts.tags])"
        raise Refusal(400, f"tag={tag[:LONGEST_TEXT]!a}: no tag of that name; {known}")
    return Asked(_whole(parameters.get("gpus", "1")), _gib(parameters.get("mem", "0")), model[:LONGEST_TEXT], tag)


def _whole(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MOST_GPUS)) else 0
    if not 1 <= number <= MOST_GPUS:
        raise Refusal(400, f"gpus={text[:LONGEST_TEXT]!a}: how many, a whole number from 1 to {MOST_GPUS}")
    return number


def _gib(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= MOST_MEM_GIB:
        raise Refusal(400, f"mem={text[:LONGEST_TEXT]!a}: GiB that must be free on each GPU, a number from 0, as 40")
    return number


def _closest(asked: Asked, look: Look) -> str:
    return closest_text(most_on_a_host(look.rows, asked), look.totals["idle"] or 0)


def _offer(offer: Offer, mono_s: float) -> dict[str, Any]:
    return {
        "host": offer.host,
        "free": offer.left + len(offer.gpus),
        "left": offer.left,
        "free_for_s": round(max(0.0, mono_s - offer.free_since_mono_s)),
        "gpus": [
            {
                "i": gpu.index,
                "uuid": gpu.uuid or None,
                "model": gpu.model,
                "mig": gpu.instance,
                "mem_free_gib": round(gpu.mem_free_mib / 1024, 1),
                "free_for_s": round(max(0.0, mono_s - gpu.since_mono_s)),
            }
            for gpu in offer.gpus
        ],
        "cuda_visible_devices": offer.cuda_visible_devices,
    }
