"""Every page and route: with no host, one, ten; hostile names; what all answers carry."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import quote

import posts
import pytest
from flask import Flask
from flask.testing import FlaskClient

from cluster_dash_server import errors
from cluster_dash_server.config import HostNames, Live
from cluster_dash_server.live.clock import Clock
from cluster_dash_server.live.hosts import Hosts
from cluster_dash_server.points import points_of_post
from cluster_dash_server.views import assets, charts, frame, legacy, status
from cluster_dash_server.views.assets import Plotly
from cluster_dash_server.views.fleet.model import Fleets

ROUTES = [
    "/", "/gpu-data", "/cpu-data", "/memory", "/root_drive", "/load-data-1", "/demo-plot", "/history", "/health",
    "/stream", "/api/hosts", "/api/gpus", "/api/free",
    "/data-out/gpu-data-simple", "/api/gpu-summary", "/api/dashboard-data", "/api/history-data",
]  # fmt: skip
CHARTS = ["/cpu-data", "/memory", "/root_drive", "/load-data-1", "/history"]
HOSTILE = [
    "<script>window.pwned=1</script>", '"><img src=x onerror=pwned=1>', "</script><b>x", "javascript:alert(1)",
    "{{7*7}}", "${7*7}", "__proto__", "constructor", "a/b/../c", "%2e%2e", "a?b#c", "' onmouseover='x", "&lt;b&gt;",
]  # fmt: skip


def test_the_list_of_routes_is_complete(app: Flask) -> None:
    rules = {rule.rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    assert rules == {
        *ROUTES,
        "/free.txt",
        "/metrics",
        "/api/series",  # these three tell of the store: see tests/store
        "/api/metrics",
        "/api/events",
        "/remove-host/<path:name>",
        "/host/<path:name>",
        "/assets/<name>",
        "/scripts/<version>/<path:name>",
        "/static/<path:filename>",
    }


@pytest.mark.parametrize("hosts", [0, 1, 10])
@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*"])
@pytest.mark.parametrize("path", ROUTES)
def test_every_route_answers_with_any_number_of_hosts(client: FlaskClient, path: str, accept: str, hosts: int) -> None:
    for index in range(hosts):
        client.post("/", json=posts.host_post(f"gpu{index}", gpus=index))
    answer = client.get(path, headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.data
    assert client.head(path, headers={"Accept": accept}).status_code == 200


@pytest.mark.parametrize("path", CHARTS)
def test_an_empty_chart_says_no_data(client: FlaskClient, path: str) -> None:
    assert "No data!" in client.get(path, headers={"Accept": "text/html"}).text
    client.post("/", json=posts.host_post())
    assert "No data!" not in client.get(path, headers={"Accept": "text/html"}).text


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"), ("text/html", "text/html"),
        ("*/*", "text/plain"), ("", "text/plain"), ("text/*", "text/plain"), ("application/json", "text/plain"),
    ],
)  # fmt: skip
def test_the_first_page_is_a_page_only_where_html_is_named(client: FlaskClient, accept: str, kind: str) -> None:
    answer = client.get("/", headers={"Accept": accept} if accept else {})
    assert answer.mimetype == kind
    assert "Accept" in answer.headers["Vary"]


def test_a_post_with_nothing_but_what_is_required_breaks_no_page(client: FlaskClient) -> None:
    post: posts.Post = {"auth_code": posts.PASSCODE, "hostname": "bare", "timestamp": 1, "gpu": {}, "cpu": {}}
    assert client.post("/", json=post).status_code == 200
    for path in [*ROUTES, "/host/bare"]:
        assert client.get(path, headers={"Accept": "text/html"}).status_code == 200


def test_nulls_wherever_they_are_allowed_break_no_page(client: FlaskClient) -> None:
    entry = dict.fromkeys(posts.gpu(0)) | {"users": {"bob": {"1": {"mem": None, "time": None, "name": None}}}}
    post = posts.host_post(
        "nulls", gpu={"x": entry, "y": dict.fromkeys(posts.gpu(0))},
        cpu={"cpu_percent": None, "load_avgs": None, "num_cpus": None},
        memory=dict.fromkeys(("total_gb", "available_gb", "used_gb")),
        disk={"/": dict.fromkeys(("mount_point", "device", "total_gb", "used_gb", "percent_used"))},
    )  # fmt: skip
    assert client.post("/", json=post).status_code == 200
    for path in [*ROUTES, "/host/nulls"]:
        assert client.get(path, headers={"Accept": "text/html"}).status_code == 200


def test_numbers_that_a_careless_script_sends_break_no_page(client: FlaskClient) -> None:
    huge = posts.gpu(0, util=1e6, used_mib=1e15, total_mem=1e-300)
    cpu = {"cpu_percent": 1e6, "load_avgs": [1e15] * 3, "num_cpus": 0}
    memory = {"total_gb": 5e-324, "used_gb": 1e15, "available_gb": 0}
    metrics = {"sys.gpu.power_w": {"value": [1e308, -1e308], "device": [0, 65535]}}
    post = posts.host_post("odd", gpu={"x": huge}, cpu=cpu, memory=memory, metrics=metrics)
    assert client.post("/", json=post | {"timestamp": 253402300799}).status_code == 200
    for path in [*ROUTES, "/host/odd"]:
        for accept in ("text/html", "*/*", "application/json"):
            assert client.get(path, headers={"Accept": accept}).status_code == 200


def test_an_error_page_says_in_words_what_is_wrong_and_asks_again_for_what_is_away(client: FlaskClient) -> None:
    page = client.get("/nowhere", headers={"Accept": "text/html"}).text
    assert "<h1>Not Found <small>404</small></h1><p>There is nothing at this address.</p>" in page
    assert "http-equiv" not in page
    with client.application.test_request_context("/history", headers={"Accept": "text/html"}):
        page = errors.answer(503, "the store does not answer").get_data(as_text=True)
    assert "<p>The store does not answer. This page asks again in 10 s.</p>" in page
    assert '<meta http-equiv="refresh" content="10">' in page


def test_an_unknown_host_is_404_and_named(client: FlaskClient) -> None:
    answer = client.get("/host/nowhere", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "nowhere" in answer.text


def test_an_unknown_address_is_a_page_for_a_person_and_json_for_a_script(client: FlaskClient) -> None:
    assert client.get("/nope", headers={"Accept": "text/html"}).mimetype == "text/html"
    answer = client.get("/nope")
    assert (answer.status_code, answer.json["success"]) == (404, False)  # pyright: ignore


class Links(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_shown_and_linked_as_text(client: FlaskClient, name: str) -> None:
    process = {"1": {"mem": 5.0, "time": 1, "name": name, "command": name, "uid": 0}}
    gpus = {name: posts.gpu(0, name=name, uuid=name, users={name: process}), "lost": {"state": "lost", "error": name}}
    disk = {name: {"mount_point": name, "device": name, "percent_used": 5}}
    mole = {"errors": {name: name}, "version": name[:60]}
    general = {"boottime": name}
    sections: posts.Post = {"gpu": gpus, "disk": disk, "mole": mole, "general": general}
    assert client.post("/", json=posts.host_post(name, **sections)).status_code == 200
    own_page = client.get(f"/host/{quote(name, safe='')}", headers={"Accept": "text/html"})
    assert own_page.status_code == 200
    for page in (Links(own_page.text), *(Links(client.get(path).text) for path in CHARTS)):
        assert not [tag for tag, attributes in page.tags if any(key.startswith("on") for key in attributes)]
        assert "img" not in [tag for tag, _ in page.tags]
        scripts = [attributes for tag, attributes in page.tags if tag == "script"]
        assert all(("src" in script) or script["type"] == "application/json" for script in scripts)


@pytest.mark.parametrize("path", [*ROUTES, "/nope", "/static/style.css"])
def test_every_answer_carries_the_security_headers(client: FlaskClient, path: str) -> None:
    with client.get(path, headers={"Accept": "text/html"}) as answer:
        headers = answer.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "script-src" not in headers["Content-Security-Policy"]
    assert "Cache-Control" in headers


@pytest.mark.parametrize("path", [path for path in ROUTES if not path.startswith(("/api", "/data-out", "/health"))])
def test_no_page_has_an_inline_script_or_loads_from_elsewhere(client: FlaskClient, path: str) -> None:
    client.post("/", json=posts.host_post())
    page = Links(client.get(path, headers={"Accept": "text/html"}).text)
    for tag, attributes in page.tags:
        for address in (attributes.get("src"), attributes.get("href") if tag == "link" else None):
            assert address is None or address.startswith("/")
        assert "style" not in attributes
        assert tag != "script" or "src" in attributes or attributes["type"] == "application/json"


def test_every_asset_of_a_page_exists_and_is_cached_for_good(client: FlaskClient) -> None:
    client.post("/", json=posts.host_post())
    pages = [
        client.get(path, headers={"Accept": "text/html"}).text
        for path in ("/", "/cpu-data", "/gpu-data", "/host/gpu01")
    ]
    addresses = {
        address for page in pages for address in re.findall(r'(?:src|href)="(/(?:static|scripts|assets)/[^"]+)"', page)
    }
    assert len(addresses) >= 6
    for address in addresses:
        with client.get(address) as answer:
            assert answer.status_code == 200
            assert "immutable" in answer.headers["Cache-Control"]


def test_a_static_file_asked_for_without_its_hash_is_not_cached_for_good(client: FlaskClient) -> None:
    with client.get("/static/scripts/plot.js") as answer:
        assert "immutable" not in answer.headers["Cache-Control"]


def test_pages_are_compressed_where_the_client_takes_it(client: FlaskClient) -> None:
    for index in range(20):
        client.post("/", json=posts.host_post(f"gpu{index}"))
    plain = client.get("/cpu-data", headers={"Accept": "text/html"})
    packed = client.get("/cpu-data", headers={"Accept": "text/html", "Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.data) < len(plain.data) / 3


def test_a_host_page_shows_what_its_gpus_do_beside_their_memory(client: FlaskClient) -> None:
    mig: list[posts.Post] = [{"name": "1g.10gb", "uuid": "MIG-1", "total_mem": 9856.0, "used_mem": 512.0, "pids": []}]
    gpus = {"0_X": posts.gpu(0, throttle_reasons=0x4), "1_X": posts.gpu(1, mig=mig)}
    metrics = {
        "sys.gpu.temperature_c": {"unit": "°C", "device": [0], "value": [61]},
        "sys.gpu.power_w": {"unit": "W", "device": [0, 1], "value": [412.4, 0.0]},
        "sys.gpu.power_limit_w": {"unit": "W", "device": [0], "value": [700]},
        "sys.gpu.tensor_active_percent": {"unit": "%", "device": [0], "value": [92.75]},
        "sys.gpu.dram_active_percent": {"unit": "%", "device": [0], "value": [0]},
        "sys.gpu.mem_temperature_c": {"unit": "°C", "device": [0], "value": [97]},
        "sys.gpu.mem_temperature_max_c": {"unit": "°C", "device": [0], "value": [95]},
    }
    client.post("/", json=posts.host_post("gpu01", gpu=gpus, metrics=metrics, general={"kernel": "6.1.0", "os": 5}))
    page = client.get("/host/gpu01").text
    first, second, instance = page.split('<th scope="row"')[1:4]
    assert ">61<" in first
    assert ">tensor cores 93 %, memory bandwidth 0 %<" in first.replace("\u00a0", " ")
    assert "tensor" not in second
    assert ('title="the memory is meant for less than 95 °C"' in first, "> <small>memory 97<" in first) == (True, True)
    assert "412 <small>of 700</small>" in first
    assert "power limit" in first
    assert ('data-unit="°C">–<' in second, 'data-unit="W">0<' in second) == (True, True)
    assert "0.5 of 9.6 GiB" in instance
    assert "nobody" in first
    assert "<span>6.1.0</span>" in page


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/host/gpu0", "instead of 15 min: memory for history is limited to 1 MiB ([live] memory_mib)"),
        ("/host/gpu0?hours=24", "instead of 24 h"),
        ("/cpu-data", "instead of 15 min"),
        ("/history", "instead of 24 h"),
    ],
)
def test_a_page_says_when_memory_cuts_its_history(path: str, words: str) -> None:
    seconds = [0.0]
    hosts, plotly = Hosts(Live(memory_mib=1), Clock(lambda: seconds[0])), Plotly()
    app = Flask("cluster_dash_server")
    frame.register(app, list, plotly, guarded=True)
    fleets = Fleets(hosts, HostNames())
    for blueprint in (
        status.routes(hosts, fleets, list),
        charts.routes(hosts),
        legacy.routes(hosts),
        assets.routes(plotly),
    ):
        app.register_blueprint(blueprint)
    post = posts.host_post("gpu0", gpus=64)
    hosts.record(post, points_of_post(post))
    assert "instead of" not in app.test_client().get(path).text
    for half_seconds in range(1800):
        seconds[0] = half_seconds / 2
        each = post | {"mole": post["mole"] | {"seq": post["mole"]["seq"] + half_seconds + 1}}
        hosts.record(each, points_of_post(each))
    hosts.keep_within_memory()
    assert words in app.test_client().get(path).text


@pytest.mark.parametrize(
    ("has_store", "has_uplot", "words", "library"),
    [
        (True, True, "Drag in a chart", "uPlot.esm.js"),
        (True, False, "was installed without uPlot", "plotly-"),
        (False, True, "[store] url is none", "plotly-"),
    ],
)
def test_a_hosts_charts_are_the_stores_or_the_page_says_why_not(
    has_store: bool, has_uplot: bool, words: str, library: str
) -> None:
    hosts, plotly, app = Hosts(Live()), Plotly(), Flask("cluster_dash_server")
    frame.register(app, list, plotly, guarded=True)
    fleets = Fleets(hosts, HostNames())
    for blueprint in (
        status.routes(hosts, fleets, list, has_store=has_store, has_uplot=has_uplot),
        charts.routes(hosts),
        assets.routes(plotly),
    ):
        app.register_blueprint(blueprint)
    post = posts.host_post("gpu0")
    hosts.record(post, points_of_post(post))
    answer = app.test_client().get("/host/gpu0")
    assert words in answer.text
    assert [name for name in ("uPlot.esm.js", "plotly-") if name in answer.text] == [library]
    assert ("unsafe-inline" in answer.headers.get("Content-Security-Policy", "")) == (library == "plotly-")


def test_a_disk_that_does_not_answer_is_told_since_when(client: FlaskClient) -> None:
    post = posts.host_post("gpu01")
    post["disk"]["/nfs"] = {"mount_point": "/nfs", "device": "nas:/x", "stale_since": post["timestamp"] - 7200}
    assert client.post("/", json=post).status_code == 200
    assert "doesn&#39;t answer for 2 h" in client.get("/host/gpu01").text.replace("doesn't", "doesn&#39;t")


def test_events_are_kept_and_shown_the_newest_first(client: FlaskClient) -> None:
    for second in range(250):
        event = {"time": 1000.0 + second, "kind": "xid", "device": 3, "text": f"number {second}", "data": {"code": 79}}
        client.post("/", json=posts.host_post("gpu01", events=[event]))
    page = client.get("/host/gpu01").text
    assert page.index("number 249") < page.index("number 230")
    assert "number 229<" not in page
    assert "180 older events are not shown" in page


def test_a_script_under_an_old_address_is_the_one_of_now_and_not_kept(client: FlaskClient) -> None:
    with client.get("/scripts/of-yesterday/overview/overview.js") as answer:
        assert (answer.status_code, answer.mimetype) == (200, "text/javascript")
        assert "immutable" not in answer.headers["Cache-Control"]
    assert client.get("/scripts/x/../style.css").status_code == 404
    assert client.get("/scripts/x/%2e%2e/style.css").status_code == 404


@pytest.mark.parametrize(("query", "is_kiosk"), [("", False), ("?kiosk", True), ("?kiosk=0", False)])
def test_the_overview_is_a_wall_screen_where_it_is_asked_to_be(client: FlaskClient, query: str, is_kiosk: bool) -> None:
    page = client.get(f"/{query}", headers={"Accept": "text/html"}).text
    assert ('class="kiosk"' in page) is is_kiosk
    assert "<noscript>" in page


@pytest.mark.parametrize("ahead_s", [0, 5400])
def test_times_by_a_clock_that_is_wrong_are_told_as_that(client: FlaskClient, ahead_s: float) -> None:
    lost = posts.gpu(0, state="lost", error="GPU is lost (since 2026-11-22 10:38:26)")
    post = posts.host_post("gpu01", gpu={"0": lost})
    client.post("/", json=post | {"timestamp": post["timestamp"] + ahead_s})
    page = client.get("/host/gpu01", headers={"Accept": "text/html"}).text
    own = bool(ahead_s)
    assert ("since 2026-11-22 10:38:26 by its own clock" in page) is own
    assert ("up since 2026-11-01 08:00:00 by its own clock" in page) is own
    assert ("gpu01: GPU 0 lost: GPU is lost (since 2026-11-22 10:38:26 by its own clock" in client.get("/").text) is own
