"""The parts of the simulator: its template, its week, its schedule."""

from __future__ import annotations

import json

import pytest

from cluster_dash_mole.simulate.fleet import Fleet
from cluster_dash_mole.simulate.jobs import find_load
from cluster_dash_mole.simulate.noise import noise
from cluster_dash_mole.simulate.people import list_people
from cluster_dash_mole.simulate.schedule import Schedule
from cluster_dash_mole.simulate.template import Slot, Template
from cluster_dash_mole.simulate.week import DAY_S, WEEK_S, plan_week


def test_a_template_fills_each_slot_in_its_form() -> None:
    document = {"a": Slot(2), "b": ["100 % %d", Slot(0, "int")], "t": Slot(1, "text"), "j": Slot(3, "json"), "é": None}
    values = [7.9, "12:00", 3.14159, "[1,2]"]
    expected = {"a": 3.1, "b": ["100 % %d", 7], "t": "12:00", "j": [1, 2], "é": None}
    assert json.loads(Template(document).fill(values)) == expected


@pytest.mark.parametrize("document", [{"a": "100 %"}, {"a": Slot(0, ".3")}])
def test_a_template_of_none_or_one_slot(document: object) -> None:
    assert json.loads(Template(document).fill([0.12345])) in ({"a": "100 %"}, {"a": 0.123})


def test_noise_is_even_and_without_order() -> None:
    values = [noise(salt, number) for salt in range(20) for number in range(500)]
    assert -1 <= min(values) < -0.98
    assert 0.98 < max(values) <= 1
    assert abs(sum(values) / len(values)) < 0.03


def test_people_have_each_a_login_and_a_uid_of_their_own() -> None:
    people = list_people(900)
    assert len({person.login for person in people}) == len({person.uid for person in people}) == 900
    assert list_people(0) == people[:16]


@pytest.mark.parametrize("gpus", [1, 4, 8])
@pytest.mark.parametrize("seed", ["a", "b", "c"])
def test_no_gpu_has_two_jobs_at_a_time(seed: str, gpus: int) -> None:
    week = plan_week(seed, gpus)
    assert len(week.jobs) > gpus
    for gpu in range(gpus):
        jobs = [job for job in week.jobs if gpu in job.gpus]
        assert all(before.end_s <= after.start_s for before, after in zip(jobs, jobs[1:]))
        assert jobs[-1].end_s <= WEEK_S
        for job in jobs:
            assert week.find_span(gpu, job.start_s).job is job
            assert week.find_span(gpu, job.end_s - 0.001).job is job


def test_a_week_comes_again() -> None:
    week = plan_week("a", 8)
    turn, place_s = week.find_place(12345.0)
    assert week.find_place(12345.0 + WEEK_S) == (turn + 1, pytest.approx(place_s))


def test_people_come_by_day_and_stay_away_at_weekends() -> None:
    weeks = [plan_week(f"seed {number}", 8) for number in range(40)]
    starts = [(week.begins_s + job.start_s) % WEEK_S for week in weeks for job in week.jobs]
    by_day = sum(9 <= start % DAY_S / 3600 < 19 for start in starts)
    at_weekends = sum(start >= 5 * DAY_S for start in starts)
    assert by_day > 0.55 * len(starts)
    assert at_weekends < 0.2 * len(starts)


def test_a_job_loads_then_works_within_the_limits_of_its_gpu() -> None:
    for job in plan_week("loads", 8).jobs:
        for number, elapsed_s in enumerate((0, 60, 200, 1801, 5000, 50000)):
            load = find_load(job, elapsed_s, 7, number)
            assert 0 <= load.util <= 100
            assert 0 <= load.memory <= job.memory <= 1
            assert 0 <= load.power <= 1


def due_at(schedule: Schedule, now: float, most: int = 99) -> list[tuple[int, int]]:
    return [(due.host, due.number) for due in schedule.due(now, most)]


def test_posts_are_due_at_their_times_in_their_order() -> None:
    fleet = Fleet(5, scenario="plain", began_at=1000.0)
    schedule = Schedule(fleet, range(5))
    assert due_at(schedule, 999) == []
    assert schedule.wait_s(999) == 1
    assert due_at(schedule, 1002.5) == [(0, 0), (1, 0), (2, 0)]
    assert due_at(schedule, 1002.5, most=2) == [(0, 0), (1, 0)]
    schedule.advance(schedule.due(1002.5, 2)[-1])
    assert due_at(schedule, 1002.5) == [(2, 0)]


def test_of_late_posts_only_each_hosts_newest_is_sent() -> None:
    fleet = Fleet(5, scenario="plain", began_at=1000.0)
    schedule = Schedule(fleet, range(5))
    assert schedule.skip_old(1004.9) == 0
    assert schedule.skip_old(1012.5) == 10
    assert due_at(schedule, 1012.5) == [(0, 2), (1, 2), (2, 2)]


def test_a_host_that_is_down_is_passed_over() -> None:
    fleet = Fleet(24, began_at=1000.0, spread=False)
    down = fleet.names.index("a100-03")
    schedule = Schedule(fleet, [down, 0])
    assert due_at(schedule, 1011) == [(down, 0), (0, 0), (down, 1), (0, 1), (0, 2)]
    alone = Schedule(fleet, [down])
    alone.advance(alone.due(1011, 99)[-1])
    assert alone.due(1100, 99) == []


def test_once_is_one_post_of_each_after_the_faults() -> None:
    fleet = Fleet(24, began_at=1000.0, spread=False)
    schedule = Schedule(fleet, range(24), is_once=True)
    posts = schedule.due(1005, 99)
    assert [(due.host, due.number) for due in posts] == [(host, 1) for host in range(24)]
    assert not schedule.has_ended
    schedule.advance(posts[-1])
    assert schedule.has_ended
    assert schedule.due(2000, 99) == []
