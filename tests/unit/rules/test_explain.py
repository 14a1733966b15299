"""A recovery in words."""

from dataclasses import dataclass

import pytest

from aodh_ha.rules.evidence import Evidence, Host
from aodh_ha.rules.explain import based_on, explain
from aodh_ha.rules.recovery import (
    ABANDONED,
    INTENDED,
    QUEUED,
    RECOVERED,
    REFUSED,
    SENT,
    SUCCEEDED,
    UNVERIFIED,
)
from aodh_ha.testing import START
from tests import samples

T = START  # 2027-01-15 08:00:00 UTC


@dataclass(frozen=True)
class Event:
    at: float
    kind: str
    message: str


SEEN = samples.evidence(missed=4, host=Host('host1', True)).as_dict()


def test_each_decision_is_a_line_with_its_time_what_it_was_based_on_and_what_came_of_it():
    history = [
        samples.attempt(
            0, UNVERIFIED, T + 11, evidence=SEEN, finished_at=T + 101, detail='no newer heartbeat'
        ),
        samples.attempt(
            1, SUCCEEDED, T + 102, evidence=SEEN, finished_at=T + 120, detail='a heartbeat came'
        ),
    ]
    events = [
        Event(T, 'opened', 'the alarm fired'),
        Event(T + 1, 'held', 'Nova is busy with it: rebuilding'),
        Event(T + 11, 'intended', 'server.reboot soft: why'),
        Event(T + 121, RECOVERED, 'by server.reboot hard'),
    ]
    recovery = samples.recovery(status=RECOVERED, reason='by server.reboot hard')
    assert explain(recovery, history, events) == [
        '08:00:00 opened: the alarm fired',
        '08:00:01 held: Nova is busy with it: rebuilding',
        '08:00:11 server.reboot soft: 4 heartbeats missed, Nova says ACTIVE, host1 up; it did not '
        'help after 90s (no newer heartbeat)',
        '08:01:42 server.reboot hard: 4 heartbeats missed, Nova says ACTIVE, host1 up; it helped '
        'after 18s (a heartbeat came)',
        '08:02:01 recovered: by server.reboot hard',
    ]


def test_an_end_that_no_event_tells_of_is_told_all_the_same():
    recovery = samples.recovery(status='left_alone', reason='it is paused', finished_at=T + 5)
    assert explain(recovery, [], []) == ['08:00:05 left alone: it is paused']
    assert explain(samples.recovery(status=QUEUED), [], []) == []


@pytest.mark.parametrize(
    ('status', 'told'),
    [
        (INTENDED, 'server.rebuild: whether the request arrived is not known yet'),
        (SENT, 'server.rebuild: a newer heartbeat is waited for'),
        (REFUSED, 'server.rebuild: not taken (its root disk)'),
        (ABANDONED, 'server.rebuild (try 2): the request never arrived (its root disk)'),
    ],
)
def test_what_became_of_a_step_is_told(status, told):
    detail = 'its root disk' if status in (REFUSED, ABANDONED) else ''
    number = 2 if status == ABANDONED else 1
    step = samples.attempt(2, status, T, number, detail=detail)
    assert explain(samples.recovery(), [step], []) == [f'08:00:00 {told}']


def test_a_dry_run_is_said_to_be_one():
    step = samples.attempt(0, UNVERIFIED, T, dry_run=True)
    assert explain(samples.recovery(), [step], [])[0].startswith(
        '08:00:00 server.reboot soft (dry run): it did not help'
    )


@pytest.mark.parametrize(
    ('evidence', 'told'),
    [
        ({}, ''),
        (SEEN, '4 heartbeats missed, Nova says ACTIVE, host1 up'),
        (
            samples.evidence(
                samples.server(status='ERROR', task_state='rebuilding'),
                missed=1,
                host=Host('host1', False, forced_down=True),
            ).as_dict(),
            '1 heartbeat missed, Nova says ERROR, task rebuilding, host1 down, forced down',
        ),
        (
            samples.evidence(missed=0, services={'web': 'failed', 'db': 'ok'}).as_dict(),
            '0 heartbeats missed, web failed, Nova says ACTIVE',
        ),
        (
            Evidence(T, 3, None, None, None).as_dict(),
            '3 heartbeats missed, Nova has no such server',
        ),
    ],
)
def test_the_evidence_is_told_in_a_few_words(evidence, told):
    assert based_on(evidence) == told
