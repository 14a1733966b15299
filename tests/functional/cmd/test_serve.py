"""``aodh-ha serve``: what it does before, and with, the processes that it starts."""

import os
import signal
import subprocess
import sys

import pytest

from aodh_ha import opts
from aodh_ha.cmd import main, serve
from aodh_ha.db import Database, migrate
from aodh_ha.exceptions import ConfigurationError, DatabaseAway
from tests.waiting import wait_for


def test_a_database_that_is_away_at_the_start_is_waited_for(tmp_path, monkeypatch, capsys):
    database, real, tries = Database(f'sqlite:///{tmp_path}/t.sqlite'), migrate.upgrade, []

    def away(database):
        tries.append(True)
        if len(tries) < 4:
            raise DatabaseAway('Connection refused')
        return real(database)

    monkeypatch.setattr(serve, 'AWAY', 0)
    monkeypatch.setattr(migrate, 'upgrade', away)
    serve._upgrade(database)
    assert migrate.current(database) == migrate.head()
    assert capsys.readouterr().err == 'waiting for the database: Connection refused\n'


def test_every_configuration_file_reaches_the_children(tmp_path, monkeypatch):
    for name, text in (('a', '[worker]\nlease = 20\npoll = 3'), ('b', '[worker]\npoll = 4')):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    conf = opts.load(['--config-file=a', '--config-file=b'])
    monkeypatch.setattr(os, 'environ', opts.environment(conf))
    monkeypatch.chdir('/')
    loaded = opts.load()
    assert (loaded.worker.lease, loaded.worker.poll) == (20, 4)


def test_a_file_that_the_variable_names_must_exist(tmp_path, monkeypatch):
    (tmp_path / 'a').write_text('')
    monkeypatch.setenv('AODH_HA_CONFIG_FILE', f'{tmp_path}/a:{tmp_path}/b')
    with pytest.raises(ConfigurationError, match=f'names {tmp_path}/b, which does not exist'):
        opts.load()


# Real processes, each of which begins with a second of imports on a machine with nothing to do.
@pytest.mark.timeout(180)
def test_the_supervisor_restarts_a_child_that_died_and_ends_them_all(tmp_path):
    log = tmp_path / 'log'
    child = (
        'import os, time\n'
        f'with open({str(log)!r}, "a") as f: f.write(f"{{os.getpid()}}\\n")\n'
        'time.sleep(60)\n'
    )
    code = (
        'from aodh_ha.cmd import serve\n'
        'import os\n'
        'serve.RESTART = 0.01\n'
        f'serve.Supervisor({{"c": ["-c", {child!r}]}}, dict(os.environ)).run()\n'
    )
    process = subprocess.Popen([sys.executable, '-c', code], stderr=subprocess.PIPE)
    try:
        first = _pids(log, 1)[0]
        os.kill(first, signal.SIGKILL)
        second = _pids(log, 2)[1]
        process.terminate()
        assert process.wait(60) == 0
        assert b'ended with -9, starting it again' in process.stderr.read()
        with pytest.raises(ProcessLookupError):
            os.kill(second, 0)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def _pids(log, count):
    wait_for(lambda: log.exists() and len(log.read_text().splitlines()) >= count, 60)
    return [int(p) for p in log.read_text().splitlines()]


def test_the_master_key_is_made_once_by_a_command(tmp_path, capsys):
    file = tmp_path / 'aodh-ha.conf'
    file.write_text(
        '[database]\nconnection = mysql+pymysql://u@127.0.0.1:1/x\n'
        f'[secrets]\nmaster_key_file = {tmp_path}/keys/master.key\n'
    )
    command = ['--config-file', str(file)]
    assert main.main(['serve', *command]) != 0
    assert 'aodh-ha secrets create' in capsys.readouterr().err
    assert main.main(['secrets', 'create', *command]) == 0
    key = (tmp_path / 'keys/master.key').read_text()
    assert main.main(['secrets', 'create', *command]) == 0
    assert (tmp_path / 'keys/master.key').read_text() == key
    out = capsys.readouterr().out
    assert 'made' in out
    assert 'exists already' in out
    assert key.strip() not in out
