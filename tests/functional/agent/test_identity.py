"""Where key, gateways and guest come from, and when they are read again."""

import json
import logging
import pathlib
from typing import Any

import pytest

from aodh_ha.agent import identity
from aodh_ha.agent.config import ConfigError, Settings
from aodh_ha.agent.identity import Source

from .conftest import LOG, serve


class Drive:
    """A folder openstack/latest."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder / 'latest'
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def path(self) -> str:
        return str(self.folder / 'meta_data.json')

    def write(self, name: str, document: Any) -> None:
        new = self.folder / 'new'
        new.write_text(json.dumps(document))
        new.replace(self.folder / name)

    def meta(self, **meta: str) -> None:
        self.write('meta_data.json', {'uuid': 'guest', 'meta': meta})

    def vendor(self, key: str, generation: int = 1, gateways: str = 'http://v') -> None:
        told = credentials(key, generation, gateways)
        self.write('vendor_data2.json', {'other': 1, 'a': {'b': 2}, 'any-name': told})


def credentials(key: str, generation: int = 1, gateways: str = 'http://m') -> dict[str, str]:
    return {
        'aodh_ha_key': key,
        'aodh_ha_generation': str(generation),
        'aodh_ha_gateways': gateways,
    }


@pytest.fixture
def drive(tmp_path: pathlib.Path) -> Drive:
    return Drive(tmp_path)


def source(*places: str, **agent: str) -> Source:
    return Source(Settings({'metadata': ', '.join(places), **agent}, []), LOG)


def known(found: Source) -> tuple[str, str, str, list[str]]:
    identity = found.current()
    assert identity is not None
    return identity.guest, identity.key, identity.generation, identity.gateways


def test_vendor_data_is_enough(drive: Drive) -> None:
    drive.meta()
    found = source(drive.path)
    assert found.current() is None
    drive.vendor('key', 7, 'http://a, http://b')
    assert known(found) == ('guest', 'key', '7', ['http://a', 'http://b'])


def test_the_servers_metadata_come_before_vendor_data(drive: Drive) -> None:
    drive.meta(**credentials('m'))
    drive.vendor('v', 2)
    assert known(source(drive.path)) == ('guest', 'm', '1', ['http://m'])


def test_settings_come_before_either(drive: Drive) -> None:
    drive.meta(**credentials('m', 3))
    found = source(drive.path, key='s', generation='9', gateways='http://s')
    assert known(found) == ('guest', 's', '9', ['http://s'])
    # Each for itself, but a key never with another one's generation.
    assert known(source(drive.path, gateways='http://s')) == ('guest', 'm', '3', ['http://s'])
    assert known(source(drive.path, key='s')) == ('guest', 's', '1', ['http://m'])


def test_a_config_drive_is_read_where_there_is_no_metadata_service(drive: Drive) -> None:
    drive.meta()
    drive.vendor('v')
    server = serve(lambda *_: (404, b'', {}))
    found = source(server.url + '/openstack/latest/meta_data.json', drive.path)
    assert known(found)[1] == 'v'
    server.shutdown()
    server.server_close()


def test_the_newest_key_is_looked_for_wherever_it_may_be(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(identity, 'time', type('Time', (), {'monotonic': lambda: now[0]}))
    drive.meta(**credentials('old', 1))
    served = {'latest/vendor_data2.json': {}, 'latest/meta_data.json': {'uuid': 'guest'}}
    asked: list[str] = []

    def reply(path: str, *_: Any) -> tuple[int, bytes, dict[str, str]]:
        asked.append(path)
        return 200, json.dumps(served[path[1:]]).encode(), {}

    server = serve(reply)
    found = source(server.url + '/latest/meta_data.json', drive.path)
    assert known(found)[1:3] == ('old', '1')
    found.told('1')
    asked.clear()
    found.told('2')  # too soon after the last look
    assert asked == []
    now[0] += 10
    found.told('2')
    assert (known(found)[1], len(asked)) == ('old', 2)  # goes on with what it has
    served['latest/vendor_data2.json'] = {'aodh-ha': credentials('new', 2)}
    found.told('2')
    assert (known(found)[1], len(asked)) == ('old', 2)
    now[0] += 10
    found.told('2')
    assert known(found)[1:3] == ('new', '2')
    now[0] += 10
    asked.clear()
    found.told('2')
    assert asked == []
    # Vendor data are empty while the gateways are away: the key stays.
    served['latest/vendor_data2.json'] = {}
    (drive.folder / 'meta_data.json').unlink()
    found.reload()
    assert known(found)[1:3] == ('new', '2')
    server.shutdown()
    server.server_close()


def test_a_key_of_the_settings_cannot_be_renewed_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    found = source('/nowhere', key='s', guest='g', gateways='http://s')
    found.told('2'), found.told('2')
    assert known(found)[2] == '1'
    assert caplog.text.count('there is a newer one, 2') == 1


def test_other_settings_are_followed_and_what_the_metadata_told_is_kept(drive: Drive) -> None:
    drive.meta(**credentials('m'))
    found = source(drive.path)
    assert known(found)[1] == 'm'
    (drive.folder / 'meta_data.json').unlink()
    found.configure(Settings({'metadata': drive.path, 'gateways': 'http://new'}, []))
    assert known(found) == ('guest', 'm', '1', ['http://new'])
    broken = Settings({'key': 'a"b', 'guest': 'g', 'gateways': 'http://x'}, [])
    with pytest.raises(ConfigError):
        found.configure(broken)
    assert known(found)[3] == ['http://new']


@pytest.mark.parametrize(
    'document', [[], 'x', {'meta': []}, {'uuid': 'g', 'meta': {'aodh_ha_key': 'ü'}}, {'uuid': 5}]
)
def test_senseless_metadata_enrol_nobody(drive: Drive, document: Any) -> None:
    drive.write('meta_data.json', document)
    drive.write('vendor_data2.json', document)
    assert source(drive.path, gateways='http://x').current() is None


def test_who_is_not_enrolled_asks_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(identity, 'time', type('Time', (), {'monotonic': lambda: now[0]}))
    asked: list[str] = []
    served: list[dict[str, Any]] = [{'uuid': 'guest'}]

    def reply(path: str, *_: Any) -> tuple[int, bytes, dict[str, str]]:
        asked.append(path)
        return 200, json.dumps(served[0]).encode(), {}

    server = serve(reply)
    found = source(server.url + '/latest/meta_data.json')
    for _ in range(300):  # ten minutes
        assert found.current() is None
        now[0] += 2
    assert 20 < len(asked) < 50  # of two documents
    served[0] = {'uuid': 'guest', 'meta': credentials('m')}
    now[0] += 60
    assert known(found)[1] == 'm'
    server.shutdown()
    server.server_close()
