"""The settings of `make demo` name the hosts that the simulator plays, each with the tags that it has in the plan."""

from __future__ import annotations

from pathlib import Path

from cluster_dash_mole.simulate.scenario import NEVER_SEEN, plan_demo
from cluster_dash_server.config import read_config
from cluster_dash_server.patterns import Tags, expand

DEMO = str(Path(__file__).resolve().parent.parent.parent / "deploy" / "demo.toml")


def test_all_hosts_of_the_plan_are_expected_and_one_that_never_reports() -> None:
    names = read_config({"CLUSTER_DASH_CONFIG": DEMO}).hosts
    expected = {name for text in names.expected for name in expand(text)}
    assert expected == {*(plan.name for plan in plan_demo()), NEVER_SEEN}


def test_each_host_has_the_tags_of_the_plan() -> None:
    tags = Tags(read_config({"CLUSTER_DASH_CONFIG": DEMO}).hosts.tags)
    for plan in plan_demo():
        assert sorted(tags.of(plan.name)) == sorted(plan.tags), plan.name
