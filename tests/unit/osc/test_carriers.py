"""An alarm of ours and the Aodh alarm that carries it, whatever broke off in between."""

import pytest

from aodh_ha.exceptions import NotFound
from aodh_ha.osc import carriers

OURS = {'id': 'ours', 'aodh_alarm_id': None}
DEFINITION = {'name': 'stack-silent-x', 'state': 'ok', 'severity': 'low'}


class Aodh:
    def __init__(self, *names):
        self.alarms = {f'id-{n}': {'alarm_id': f'id-{n}', 'name': n} for n in names}

    def list(self):
        return list(self.alarms.values())

    def get(self, alarm_id):
        if alarm_id not in self.alarms:
            raise NotFound('Aodh: no such alarm')
        return self.alarms[alarm_id]

    def create(self, definition):
        made = definition | {'alarm_id': f'id-{definition["name"]}'}
        self.alarms[made['alarm_id']] = made
        return made

    def update(self, alarm_id, definition):
        self.get(alarm_id).update(definition)

    def delete(self, alarm_id):
        self.get(alarm_id)
        del self.alarms[alarm_id]


class Api:
    def __init__(self):
        self.linked, self.deleted = [], []

    def link_alarm(self, alarm_id, aodh_alarm_id):
        self.linked.append((alarm_id, aodh_alarm_id))

    def delete_alarm(self, alarm_id):
        self.deleted.append(alarm_id)


@pytest.fixture
def api():
    return Api()


def test_an_alarm_is_created_in_aodh_and_linked(api):
    aodh = Aodh('another')
    carriers.carry(api, aodh, OURS, DEFINITION)
    assert aodh.get('id-stack-silent-x')['severity'] == 'low'
    assert api.linked == [('ours', 'id-stack-silent-x')]


def test_one_whose_creation_was_never_answered_is_found_by_its_name(api):
    aodh = Aodh('another', 'stack-silent-x')
    carriers.carry(api, aodh, OURS, DEFINITION)
    assert len(aodh.alarms) == 2
    assert api.linked == [('ours', 'id-stack-silent-x')]


def test_one_that_is_linked_is_changed_but_for_its_state(api):
    aodh = Aodh('old-name')
    aodh.get('id-old-name')['state'] = 'alarm'
    carriers.carry(api, aodh, OURS | {'aodh_alarm_id': 'id-old-name'}, DEFINITION)
    changed = aodh.get('id-old-name')
    assert (changed['severity'], changed['state']) == ('low', 'alarm')
    assert api.linked == []


def test_one_that_was_deleted_in_aodh_is_created_again(api):
    aodh = Aodh()
    carriers.carry(api, aodh, OURS | {'aodh_alarm_id': 'gone'}, DEFINITION)
    assert api.linked == [('ours', 'id-stack-silent-x')]


@pytest.mark.parametrize('linked', [None, 'gone', 'id-stack-silent-x'])
def test_whatever_carries_it_goes_and_nothing_else(api, linked):
    aodh = Aodh('another', 'stack-silent-x')
    carriers.delete(api, aodh, OURS | {'aodh_alarm_id': linked}, 'stack-silent-x')
    assert list(aodh.alarms) == ['id-another']
    assert api.deleted == ['ours']


def test_without_a_name_only_what_is_linked_goes(api):
    aodh = Aodh('another', '')
    carriers.delete(api, aodh, OURS)
    assert len(aodh.alarms) == 2
    assert api.deleted == ['ours']
