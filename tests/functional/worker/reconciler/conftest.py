"""A world for the reconciler: SQLite, a cloud and an Aodh in memory, a clock set by hand."""

import copy
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from aodh_ha import reconciler
from aodh_ha.callbacks import ALARM, TELEMETRY, CallbackURLs
from aodh_ha.db import alarms, audit, guests, notifications, queue
from aodh_ha.exceptions import ActionRefused, CloudAway, NotFound, OutcomeUnknown
from aodh_ha.rules import alarm as rules
from aodh_ha.rules.alarm import Alarm
from aodh_ha.testing import START
from tests import samples
from tests.functional.worker.recovery.conftest import World as EngineWorld
from tests.samples import PROJECT, SERVER_ID

MASTER_KEY = b'm' * 32
PUBLIC_URL = 'http://ha.example.org:8787'
ALARM_ID = '0a0a0a0a-0000-4000-8000-000000000001'
CARRIER = '0b0b0b0b-0000-4000-8000-000000000001'


class FakeAodh:
    """What the reconciler asks of Aodh, in memory."""

    def __init__(self):
        self.alarms = {}
        self.away = False
        self.hidden = set()
        """Ids that the list leaves out."""
        self.refuse = ''
        self.lost = False
        """What is created is so, and its answer lost."""

    def list_all(self):
        self._answer()
        return [copy.deepcopy(a) for i, a in sorted(self.alarms.items()) if i not in self.hidden]

    def get(self, alarm_id):
        self._answer()
        if alarm_id not in self.alarms:
            raise NotFound(f'Aodh: no alarm {alarm_id}')
        return copy.deepcopy(self.alarms[alarm_id])

    def watch(self, alarm_id, resource_id, description):
        self.get(alarm_id)
        if self.refuse:
            raise ActionRefused(self.refuse)
        self.alarms[alarm_id]['description'] = description
        self.alarms[alarm_id]['gnocchi_resources_threshold_rule']['resource_id'] = resource_id

    def create(self, definition):
        self._answer()
        if self.refuse:
            raise ActionRefused(self.refuse)
        made = definition | {'alarm_id': str(uuid.uuid4()), 'enabled': True}
        self.alarms[made['alarm_id']] = made | {'state_timestamp': World.iso(START)}
        if self.lost:
            raise OutcomeUnknown('Aodh: the answer was lost')
        return copy.deepcopy(made)

    def delete(self, alarm_id):
        self.get(alarm_id)
        if self.refuse:
            raise ActionRefused(self.refuse)
        del self.alarms[alarm_id]

    def _answer(self):
        if self.away:
            raise CloudAway('Aodh: no answer')


class World(EngineWorld):
    """The engine's, with alarms, and the reconciler's duties."""

    def __post_init__(self):
        super().__post_init__()
        self.aodh = FakeAodh()
        self.conf = SimpleNamespace(
            webhook=SimpleNamespace(public_url=PUBLIC_URL, gateways=['http://gw1', 'http://gw2']),
            enrolment=SimpleNamespace(write_metadata=True),
            worker=SimpleNamespace(reconcile_interval=60.0, forget_after=600.0),
            guards=SimpleNamespace(storm_share=30.0, storm_window=60.0, storm_minimum=5),
            cloudwatch=SimpleNamespace(failure_period=300.0),
            credentials=SimpleNamespace(check_interval=3600.0, service_user=True),
            database=SimpleNamespace(keep_events=30.0, keep_recoveries=90.0),
        )
        self.urls = CallbackURLs(b'k' * 32, PUBLIC_URL, 0, self.clock)
        duties = reconciler.duties(
            self.conf, self.database, self.nova, self.aodh, self.urls, MASTER_KEY, self.clock
        )
        self.duties = {d.name: d.work for d in duties}

    def do(self, duty):
        self.tick()
        return self.duties[duty](self.clock())

    def add_guest(self, server_id, **values):
        with self.database.write() as c:
            guests.enroll(c, samples.guest(server_id=server_id, **values))

    def add_alarm(self, alarm_id=ALARM_ID, carrier=CARRIER, trigger='heartbeat', **values):
        """Our alarm, and the one in Aodh that carries it, both ok; values change Aodh's."""
        server_id = values.pop('server_id', SERVER_ID)
        with self.database.read() as c:
            guest = guests.get(c, server_id)
        alarm = Alarm(alarm_id, PROJECT, server_id, trigger, 3, carrier, 'ok', None, START - 3600)
        definition = rules.definition(
            guest,
            trigger,
            3,
            self.urls.url(ALARM, alarm_id),
            self.urls.url(TELEMETRY, alarm_id),
        )
        with self.database.write() as c:
            alarms.add(
                c, alarm if values.pop('linked', True) else replace(alarm, aodh_alarm_id=None)
            )
        self.aodh.alarms[carrier] = definition | {
            'alarm_id': carrier,
            'project_id': PROJECT,
            'enabled': True,
            'state_timestamp': self.iso(START - 60),
            **values,
        }

    @staticmethod
    def iso(at):
        return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat()

    def the_alarm(self, alarm_id=ALARM_ID):
        with self.database.read() as c:
            return alarms.get(c, alarm_id)

    def recoveries(self):
        with self.database.read() as c:
            return queue.find(c)

    def notifications(self):
        with self.database.read() as c:
            return [n.message for n in reversed(notifications.find(c))]

    def events(self, server_id=SERVER_ID):
        with self.database.read() as c:
            return [e.kind for e in audit.of_guest(c, server_id)]


@pytest.fixture
def world(database):
    return World(database)
