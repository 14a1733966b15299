"""The master key, and what is derived from it."""

import base64
import stat
import threading

import pytest

from aodh_ha import keys
from aodh_ha.exceptions import ConfigurationError
from tests.samples import OTHER_ID, SERVER_ID

MASTER = bytes(range(32))


def test_a_key_is_made_for_its_owner_only_and_then_kept(tmp_path):
    file = tmp_path / 'folder' / 'master.key'
    first = keys.load_master_key(str(file))
    assert len(first) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert keys.load_master_key(str(file)) == first
    assert [f.name for f in file.parent.iterdir()] == ['master.key']


def test_who_starts_together_agrees_on_one_key(tmp_path):
    file, found, barrier = str(tmp_path / 'master.key'), [], threading.Barrier(8)

    def load():
        barrier.wait(10)
        found.append(keys.load_master_key(file))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    'text', [b'', b'short', base64.b64encode(b'x' * 31), b'\xff' * 50, b'not base64 at all!' * 9]
)
def test_a_file_that_is_no_key_is_refused_and_not_overwritten(tmp_path, text):
    file = tmp_path / 'master.key'
    file.write_bytes(text)
    with pytest.raises(ConfigurationError, match='master_key_file'):
        keys.load_master_key(str(file))
    assert file.read_bytes() == text


def test_a_place_that_cannot_be_read_or_written_is_told(tmp_path):
    (tmp_path / 'file').write_text('x')
    for path in (tmp_path, tmp_path / 'file' / 'below'):
        with pytest.raises(ConfigurationError, match=str(path)):
            keys.load_master_key(str(path))


def test_where_there_are_several_hosts_no_key_is_made_by_itself(tmp_path):
    file = tmp_path / 'master.key'
    with pytest.raises(ConfigurationError, match=r'copy it.*aodh-ha secrets create'):
        keys.load_master_key(str(file), create=False)
    assert not file.exists()
    assert keys.create_master_key(str(file))
    made = keys.load_master_key(str(file), create=False)
    assert not keys.create_master_key(str(file)), 'it is made once'
    assert keys.load_master_key(str(file)) == made


def test_a_key_that_openssl_wrote_is_read(tmp_path):
    file, raw = tmp_path / 'master.key', bytes([0xFB, 0xEF, 0xBE] * 10 + [0xFF, 0xFF])
    text = base64.b64encode(raw)
    assert b'+' in text
    assert b'/' in text
    file.write_bytes(text + b'\n')
    assert keys.load_master_key(str(file)) == raw


def test_every_guest_and_generation_has_a_key_of_its_own():
    found = {
        keys.guest_key(MASTER, SERVER_ID, 1),
        keys.guest_key(MASTER, SERVER_ID, 2),
        keys.guest_key(MASTER, OTHER_ID, 1),
        keys.guest_key(bytes(32), SERVER_ID, 1),
    }
    assert len(found) == 4
    assert {len(k) for k in found} == {43}
    # printf 'guest:…:1' | openssl dgst -sha256 -mac HMAC -macopt hexkey:000102… | base64url
    assert keys.guest_key(MASTER, SERVER_ID, 1) == '9kIoAo7Wex_AdHorXqR3SmOlmALltSDooNFzCNBJjLs'


def test_callback_urls_are_signed_with_a_secret_of_their_own():
    assert keys.signing_secret(MASTER) != keys.signing_secret(bytes(32))
    assert (
        keys.signing_secret(MASTER).hex()
        == '1d86b1d2653e254c6d3c5bc20ff42ee1e77985974e8f844fddba84161af27651'
    )
