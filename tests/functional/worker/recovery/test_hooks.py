"""Hooks: real programs, a real HTTP server, bounded in time and in size."""

import http.server
import json
import logging
import os
import signal
import sys
import threading

import pytest

from aodh_ha import opts
from aodh_ha.exceptions import ActionRefused
from aodh_ha.recovery.hooks import MAX_OUTPUT, HookResult, Hooks
from tests.waiting import wait_for

FACTS = {'server_id': '6c1f', 'message': 'sagt "nein"; $(rm -rf /) & Zeile\nzwei ü'}


@pytest.fixture
def hooks(tmp_path):
    def make(timeout=60.0, **how):
        (setting,) = how.items()
        value = setting[1].replace('$', '$$')  # oslo.config's own
        file = tmp_path / 'aodh-ha.conf'
        file.write_text(
            f'[hooks]\nnames = h\n[hook:h]\n{setting[0]} = {value}\ntimeout = {timeout}\n'
        )
        return Hooks(opts.load(['--config-file', str(file)]))

    return make


def python(tmp_path, code):
    """A hook's command line that runs this code."""
    file = tmp_path / 'hook with a blank.py'
    file.write_text(code)
    return f'{sys.executable} "{file}" first "second one"'


def test_a_command_gets_its_arguments_and_the_facts_without_a_shell(hooks, tmp_path):
    code = 'import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))'
    result = hooks(command=python(tmp_path, code)).run('h', FACTS)
    assert result.ok
    arguments, environment = json.loads(result.output)
    assert arguments == ['first', 'second one']
    assert environment['AODH_HA_MESSAGE'] == FACTS['message']
    assert environment['AODH_HA_SERVER_ID'] == '6c1f'


def test_a_command_sees_nothing_of_the_workers_environment(hooks, monkeypatch):
    monkeypatch.setenv('OS_PASSWORD', 'secret')
    found = hooks(command='env').run('h', {}).output
    assert 'secret' not in found
    assert 'PATH=' in found


def test_exit_code_0_means_done_and_another_is_told_with_what_it_printed(hooks, tmp_path):
    failing = python(tmp_path, 'import sys; print("no power switch"); sys.exit(3)')
    assert hooks(command=failing).run('h', {}) == HookResult(False, 'exit code 3: no power switch')
    assert hooks(command='true').run('h', {}) == HookResult(True, '')


def test_the_output_is_bounded_and_a_command_that_prints_much_still_ends(hooks, tmp_path):
    loud = python(tmp_path, 'import sys; sys.stderr.write("x" * 3_000_000)')
    result = hooks(command=loud).run('h', {})
    assert result.ok
    assert result.output == 'x' * MAX_OUTPUT


@pytest.mark.timeout(90)
def test_a_command_that_hangs_is_killed_with_its_children(hooks, tmp_path):
    child = tmp_path / 'child'
    script = tmp_path / 'hangs'
    script.write_text(f'sleep 300 &\necho $! >{child}\necho begun\nwait\n')
    result = hooks(command=f'sh {script}', timeout=1).run('h', {})
    assert result == HookResult(False, 'not done in 1 s, killed: begun')
    wait_for(lambda: not _runs(child.read_text()))


def _runs(pid):
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except FileNotFoundError:
        return False


@pytest.mark.timeout(90)
def test_what_a_command_leaves_in_the_background_is_neither_waited_for_nor_killed(hooks, tmp_path):
    child = tmp_path / 'child'
    code = (
        'import subprocess\n'
        'p = subprocess.Popen(["sleep", "300"])\n'
        f'open({str(child)!r}, "w").write(str(p.pid))\n'
        'print("done")\n'
    )
    try:
        result = hooks(command=python(tmp_path, code), timeout=60).run('h', {})
        assert result == HookResult(True, 'done')
        assert _runs(child.read_text())
    finally:
        os.kill(int(child.read_text()), signal.SIGKILL)


@pytest.mark.parametrize('command', ['/no/such/program', '/etc/passwd', '/'])
def test_a_command_that_cannot_be_run_is_a_failure_not_an_error(hooks, command):
    result = hooks(command=command).run('h', {})
    assert not result.ok
    assert 'cannot be run' in result.output


def test_only_what_the_configuration_names_can_be_run(hooks):
    with pytest.raises(ActionRefused, match=r'hook:rm'):
        hooks(command='true').run('rm', {})
    assert hooks(command='true').names == {'h'}


def test_what_a_variable_cannot_hold_is_left_out(hooks, tmp_path):
    code = 'import os; print(len(os.environ["AODH_HA_A"]), os.environ["AODH_HA_B"])'
    result = hooks(command=python(tmp_path, code)).run('h', {'a': 'x' * 300_000, 'b': 'a\0b'})
    assert result.output == '16384 ab'


# ---- URLs


@pytest.fixture
def server():
    """An HTTP server that answers what it is told, and keeps what it got."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers['Content-Length'])
            served.got.append((self.path, self.headers, json.loads(self.rfile.read(length))))
            if served.hang:
                served.hang.wait(30)
            self.send_response(served.status)
            if served.status == 302:
                self.send_header('Location', '/elsewhere')
            self.send_header('Content-Length', str(len(served.body)))
            self.end_headers()
            self.wfile.write(served.body)

        do_GET = do_POST

        def log_message(self, *_):
            pass

    served = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    served.got, served.status, served.body, served.hang = [], 200, b'thanks', None
    served.url = f'http://127.0.0.1:{served.server_address[1]}/token-in-path'
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield served
    if served.hang:
        served.hang.set()
    served.shutdown()
    served.server_close()


def test_a_url_gets_the_facts_as_json_and_no_proxy_is_asked(hooks, server, monkeypatch):
    monkeypatch.setenv('http_proxy', 'http://127.0.0.1:1')
    assert hooks(url=server.url).run('h', FACTS) == HookResult(True, 'thanks')
    ((path, headers, body),) = server.got
    assert (path, body) == ('/token-in-path', FACTS)
    assert headers['Content-Type'] == 'application/json'


@pytest.mark.parametrize('status', [302, 400, 503])
def test_an_answer_other_than_2xx_is_a_failure(hooks, server, status):
    server.status = status
    assert hooks(url=server.url).run('h', FACTS) == HookResult(False, f'answer {status}: thanks')
    assert len(server.got) == 1, 'a redirect is not followed'


def test_a_url_that_does_not_answer_in_time_is_given_up(hooks, server):
    server.hang = threading.Event()
    # The answer would come after 30 s, and the test has 20.
    result = hooks(url=server.url, timeout=0.5).run('h', FACTS)
    assert not result.ok


def test_a_url_where_nobody_listens_is_a_failure(hooks, server):
    server.shutdown()
    server.server_close()
    result = hooks(url=server.url).run('h', FACTS)
    assert not result.ok
    assert 'refused' in result.output


def test_the_url_and_the_command_are_never_logged(hooks, server, caplog):
    caplog.set_level(logging.DEBUG)
    server.status = 500
    results = [
        hooks(url=server.url).run('h', FACTS),
        hooks(url='http://127.0.0.1:1/token-in-path').run('h', FACTS),
        hooks(command='/no/such token-in-path').run('h', FACTS),
    ]
    assert 'hook h: failed' in caplog.text
    assert 'token-in-path' not in caplog.text + repr(results)
