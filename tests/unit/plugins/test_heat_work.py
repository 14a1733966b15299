"""What a resource of Heat does step by step, and what it waits for."""

import pytest

from aodh_ha.exceptions import ActionRefused, CloudAway
from aodh_ha.plugins.heat.work import StillAway, Work


class Step:
    """Answers in turn; an exception is raised."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    def __call__(self):
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def work(clock):
    def work(*steps):
        return Work(list(steps), lambda e: isinstance(e, CloudAway), 60.0, clock)

    return work


AWAY = CloudAway('nothing at http://ha')


def test_steps_are_done_in_order_each_once(work):
    first, second, third = Step(None), Step(True), Step(None)
    assert work(first, second, third).advance()
    assert [s.asked for s in (first, second, third)] == [1, 1, 1]


def test_a_step_that_is_not_done_is_asked_again_and_the_next_waits(work):
    first, slow, last = Step(None), Step(False, False, True), Step(None)
    doing = work(first, slow, last)
    assert not doing.advance()
    assert not doing.advance()
    assert last.asked == 0
    assert doing.advance()
    assert (first.asked, slow.asked, last.asked) == (1, 3, 1)


def test_a_service_that_is_away_is_waited_for(work, clock):
    step = Step(AWAY, AWAY, None)
    doing = work(step)
    assert not doing.advance()
    clock.now += 59
    assert not doing.advance()
    clock.now += 59
    assert doing.advance(), 'it is back'


def test_but_not_for_ever_and_the_reason_is_told(work, clock):
    doing = work(Step(AWAY))
    assert not doing.advance()
    clock.now += 60
    with pytest.raises(StillAway, match='tried for 60 s: nothing at http://ha'):
        doing.advance()


def test_the_patience_begins_anew_when_something_was_answered(work, clock):
    doing = work(Step(AWAY, False, AWAY, AWAY, None))
    assert not doing.advance()
    clock.now += 50
    assert not doing.advance()
    assert not doing.advance()
    clock.now += 50
    assert not doing.advance(), 'only 50 s of silence'
    assert doing.advance()


def test_what_is_refused_is_not_tried_again(work):
    step = Step(ActionRefused('no'))
    doing = work(step)
    with pytest.raises(ActionRefused):
        doing.advance()
    assert step.asked == 1
