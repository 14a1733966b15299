"""devcloud removes nothing that is not its own, leaves nobody running, and goes on where it was."""

import hmac
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest

from tests.waiting import wait_for

HOME = pathlib.Path(__file__).resolve().parents[2] / 'deploy' / 'devcloud'
sys.path.insert(0, str(HOME))

from cloud import database, process, settings  # noqa: E402
from guests import metadata  # noqa: E402

LEADER = """
import os, signal, subprocess, sys, time
child = subprocess.Popen(
    [sys.executable, '-c', 'import signal, time\\n'
     'signal.signal(signal.SIGTERM, signal.SIG_IGN)\\nprint("ready", flush=True)\\ntime.sleep(60)'],
    stdout=subprocess.PIPE, preexec_fn=os.setpgrp)
child.stdout.readline()
open(sys.argv[1], 'w').write(str(child.pid))
time.sleep(60)
"""


@pytest.fixture
def tmp_path() -> Iterator[pathlib.Path]:
    """A folder with a shorter name than pytest's, for the sockets of a devcloud."""
    with tempfile.TemporaryDirectory(prefix='aodh-ha-') as folder:
        yield pathlib.Path(folder)


@pytest.fixture
def state(tmp_path: pathlib.Path) -> settings.Settings:
    """A state folder as `up` makes it, with nothing in it yet."""
    made = settings.load({'DEVCLOUD_STATE': str(tmp_path)})
    for folder in (made.run, made.log, made.data, made.done):
        folder.mkdir()
    return made


def test_a_guest_asks_the_metadata_service_in_its_own_name_only(
    state: settings.Settings,
) -> None:
    folder = state.data / 'hosts' / 'host1' / 'guests' / 'a-guest'
    folder.mkdir(parents=True)
    (folder / 'guest.json').write_text('{"project_id": "a-project"}')
    head = b'GET / HTTP/1.1\r\nx-instance-id: other\r\nX-Tenant-ID: other\r\nHost: h\r\n\r\n'
    lines = metadata.headed(head, state.state, 'a-guest', 'secret').decode().split('\r\n')
    signature = hmac.new(b'secret', b'a-guest', 'sha256').hexdigest()
    assert lines == [
        'GET / HTTP/1.1',
        'Host: h',
        'X-Forwarded-For: 127.0.0.1',
        'X-Instance-ID: a-guest',
        'X-Tenant-ID: a-project',
        f'X-Instance-ID-Signature: {signature}',
        '',
        '',
    ]
    for stranger in ('', 'nobody'):
        with pytest.raises(ValueError, match='no server'):
            metadata.headed(head, state.state, stranger, 'secret')


@pytest.mark.parametrize('verb', ['wipe', 'down', 'up', 'status'])
def test_a_folder_that_is_somebody_elses_is_left_alone(tmp_path: pathlib.Path, verb: str) -> None:
    (tmp_path / 'letter').write_text('dear')
    (tmp_path / 'settings.json').write_text('{"editor.fontSize": 12}')
    done = subprocess.run(
        [str(HOME / 'devcloud'), verb],
        env=os.environ | {'DEVCLOUD_STATE': str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    if verb != 'status':
        assert 'no devcloud made it' in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ['letter', 'settings.json']


def runs(pid: int) -> bool:
    """Whether the process is there, and not only waits to be buried."""
    try:
        stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return False
    return stat.rsplit(')', 1)[1].split()[0] != 'Z'


@pytest.mark.parametrize('leader_dies_first', [False, True])
def test_stopping_a_service_ends_all_of_its_session(
    state: settings.Settings,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    leader_dies_first: bool,
) -> None:
    """A child in a process group of its own, deaf to SIGTERM, such as keeps a port."""
    monkeypatch.setattr(process, 'GRACE', 0.5)
    file = tmp_path / 'child'
    process.start(state, 'leader', [sys.executable, '-c', LEADER, str(file)], os.environ)
    child = int(wait_for(lambda: file.exists() and file.read_text(), 20, 'the child runs'))
    if leader_dies_first:
        leader = process.pid_of(state, 'leader')
        assert leader
        os.kill(leader, signal.SIGKILL)
        os.waitpid(leader, 0)
    assert process.stop(state, ['leader']) == ([] if leader_dies_first else ['leader'])
    assert not runs(child)
    assert process.recorded(state) == []


def test_a_migration_that_was_cut_short_begins_with_an_empty_database(
    state: settings.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    broken = True

    def run(s: settings.Settings, *command: object) -> None:
        if broken and command[1] == 'sync':
            raise KeyboardInterrupt
        calls.append(' '.join(map(str, command)))

    monkeypatch.setattr(database, 'run', run)
    line = [
        database.Once(['a-manage', 'first']),
        database.Once(['a-manage', 'sync'], ('a', 'b')),
    ]
    with pytest.raises(KeyboardInterrupt):
        database.once(state, line)
    assert calls == ['a-manage first']
    broken = False
    database.once(state, line)
    database.once(state, line)
    assert [c for c in calls if c.startswith('a-manage')] == ['a-manage first', 'a-manage sync']
    (dropped,) = [c for c in calls if 'DROP' in c]
    assert 'DROP DATABASE a; CREATE DATABASE a;DROP DATABASE b; CREATE DATABASE b;' in dropped
    assert calls.index(dropped) < calls.index('a-manage sync')
