"""`/remove-host/<name>`: a page that asks, and the form on it, which forgets a host that is gone.

Whoever may read may ask. To do it needs what a post needs: the passcode, or the host's own token; without a passcode of
its own the server takes the published one from its own machine, and where the settings ask for tokens its own machine
needs none. There is no cookie that another site could use, and a form that was sent from one is refused all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from flask import Blueprint, Response, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from ..errors import Refusal, wants_page
from ..live.host import Host
from ..live.hosts import Hosts
from ..logs import quoted
from .forms import check_form

log = logging.getLogger(__name__)


Admit = Callable[[str, str, Mapping[str, object]], None]
"""Takes credential, host's name and WSGI environment; raises Refusal for who may not remove it."""


def routes(hosts: Hosts, admit: Admit) -> Blueprint:
    blueprint = Blueprint("removal", __name__)

    @blueprint.get("/remove-host/<path:name>")
    def ask(name: str) -> Response:
        return page(find(name))

    @blueprint.post("/remove-host/<path:name>")
    def remove(name: str) -> AnyResponse:
        check_form()
        try:
            admit(request.form.get("auth_code", ""), name, request.environ)
        except Refusal as refusal:
            if not wants_page():
                raise
            return page(find(name), refusal.status, str(refusal))
        if not hosts.remove(find(name)):
            raise Refusal(409, "this host reports: only one that is stale or offline can be removed")
        log.info("%s is removed, by a request from %s", quoted(name), quoted(request.remote_addr))
        if wants_page():
            return redirect(url_for("status.fleet"), 303)
        return jsonify({"success": True, "msg": "removed; it is back when it posts again"})

    def find(name: str) -> Host:
        found = hosts.get(name)
        if found is None:
            raise Refusal(404, f"No host of the name “{name[:256]}” is known here: none reported, or it was removed.")
        return found

    def page(host: Host, status: int = 200, message: str = "") -> Response:
        age_s = hosts.age_s(host.latest)
        is_up = host.latest.status(age_s) == "up"
        return Response(
            render_template("remove.html", name=host.name, age_s=age_s, is_up=is_up, message=message), status
        )

    return blueprint
