"""What the agent measures in its guest."""

import logging
import os
import socket
import threading
from types import SimpleNamespace

import pytest

from aodh_ha.agent import haproxy, stats
from aodh_ha.agent.stats import Statistics

LOG = logging.getLogger('aodh-ha-agent')
MEMINFO = """MemTotal:        8000000 kB
MemFree:          100000 kB
MemAvailable:    6000000 kB
Buffers:          500000 kB
Cached:          1000000 kB
SwapTotal:       1048576 kB
SwapFree:         786432 kB
HugePages_Total:       0
"""


@pytest.fixture
def proc(tmp_path):
    folder = tmp_path / 'proc'
    folder.mkdir()
    (folder / 'stat').write_text('cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 1 1 1\n')
    (folder / 'loadavg').write_text('0.52 0.58 0.59 1/300 4242\n')
    (folder / 'meminfo').write_text(MEMINFO)
    return folder


@pytest.fixture
def now(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(stats.time, 'monotonic', lambda: clock.now)
    return clock


def told(found):
    return {m['name']: (m['value'], m['unit']) for m in found}


def due(statistics):
    """What is due, when all that was asked has been answered."""
    found = statistics.due()
    for slow in statistics._slow:
        slow.wait(5)
    return found + statistics.due()


def test_memory_swap_and_load_have_the_names_of_cfn_push_stats(proc):
    found = told(Statistics(['memory', 'swap', 'load'], LOG, proc=str(proc)).due())
    assert found == {
        'MemoryUtilization': (25.0, 'Percent'),
        'MemoryUsed': (1953.125, 'megabytes'),
        'MemoryAvailable': (5859.375, 'megabytes'),
        'SwapUtilization': (25.0, 'Percent'),
        'SwapUsed': (256.0, 'megabytes'),
        'LoadAverage': (0.52, ''),
    }


def test_an_old_kernel_does_not_say_what_is_available_and_no_swap_is_none_used(proc):
    lines = [line for line in MEMINFO.splitlines() if 'Available' not in line]
    text = '\n'.join(lines).replace('1048576', '0').replace('786432', '0')
    (proc / 'meminfo').write_text(text)
    found = told(Statistics(['memory', 'swap'], LOG, proc=str(proc)).due())
    assert found['MemoryAvailable'] == (1562.5, 'megabytes')
    assert found['SwapUtilization'] == (0.0, 'Percent')


def test_the_cpu_is_what_was_used_since_the_last_time(proc, now):
    statistics = Statistics(['cpu'], LOG, proc=str(proc), interval=60)
    now.now += 0.5
    assert statistics.due() == [], 'half a second says nothing'
    now.now += 10
    # 10 s of two CPUs: 30 % busy, waiting for a disk is idle.
    (proc / 'stat').write_text('cpu  350 50 400 1800 400 0 0 0 250 0\n')
    assert told(statistics.due()) == {'CPUUtilization': (30.0, 'Percent')}
    now.now += 59
    assert statistics.due() == []
    now.now += 1
    (proc / 'stat').write_text('cpu  350 50 400 2800 400 0 0 0 250 0\n')
    assert told(statistics.due()) == {'CPUUtilization': (0.0, 'Percent')}


def test_a_disk_is_counted_as_df_counts_it_and_has_its_path_in_the_name(monkeypatch):
    sizes = os.statvfs_result((4096, 4096, 262144, 131072, 65536, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, 'statvfs', lambda path: sizes)
    found = told(due(Statistics(['disk'], LOG, disks=['/', '/var/lib/my db/'])))
    assert found == {
        'DiskSpaceUtilization': (66.667, 'Percent'),
        'DiskSpaceUsed': (512.0, 'megabytes'),
        'DiskSpaceAvailable': (256.0, 'megabytes'),
        'DiskSpaceUtilization.var.lib.my.db': (66.667, 'Percent'),
        'DiskSpaceUsed.var.lib.my.db': (512.0, 'megabytes'),
        'DiskSpaceAvailable.var.lib.my.db': (256.0, 'megabytes'),
    }


def test_a_disk_that_hangs_stops_neither_the_heartbeat_nor_the_others(
    monkeypatch, proc, now, caplog
):
    answers, asked, real = threading.Event(), [], os.statvfs

    def hanging(path):
        if path == '/nfs':
            asked.append(path)
            assert answers.wait(10)
        return real('/')

    monkeypatch.setattr(os, 'statvfs', hanging)
    statistics = Statistics(['disk', 'load'], LOG, 60, ['/nfs', '/'], proc=str(proc))
    assert set(told(statistics.due())) == {'LoadAverage'}
    statistics._slow[1].wait(5)
    now.now += 10
    (value,) = [m for m in statistics.due() if m['name'] == 'DiskSpaceUsed']
    assert value['age'] == 10.0
    for _ in range(3):
        now.now += 60
        assert 'LoadAverage' in told(statistics.due())
        statistics._slow[1].wait(5)
    assert asked == ['/nfs'], 'one thread hangs, no more'
    assert caplog.text.count('no answer yet') == 1
    answers.set()
    statistics._slow[0].wait(5)
    assert 'DiskSpaceUsed.nfs' in told(statistics.due())


def test_what_cannot_be_read_is_said_once_and_the_rest_goes_on(proc, now, caplog):
    caplog.set_level('INFO')
    (proc / 'loadavg').unlink()
    statistics = Statistics(['load', 'swap'], LOG, proc=str(proc))
    for _ in range(3):
        assert 'SwapUsed' in told(statistics.due())
        now.now += 60
    assert caplog.text.count('statistics of load') == 1
    (proc / 'loadavg').write_text('1.0 1 1\n')
    assert 'LoadAverage' in told(statistics.due())
    assert 'statistics of load are there' in caplog.text


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        ({'sources': ['cpu', 'gpu']}, 'gpu: unknown; known are cpu, load'),
        ({'sources': ['haproxy']}, 'write also haproxy'),
        ({'sources': ['disk'], 'disks': ['var']}, 'absolute'),
        ({'sources': ['disk'], 'disks': ['/a/b', '/a.b']}, 'same name as /a/b'),
        ({'sources': ['disk'], 'disks': ['/' + 'x' * 44]}, 'at most 43'),
    ],
)
def test_a_wrong_setting_is_named(settings, words):
    with pytest.raises(ValueError, match=words):
        Statistics(log=LOG, **settings)


# ---- HAProxy

CSV = """# pxname,svname,n,status,type,check_duration,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,req_tot,
web,FRONTEND,3,OPEN,0,,90,0,7,3,100,
web2,FRONTEND,0,OPEN,0,,0,0,1,0,1,
app,a,1,UP,2,12,50,0,1,0,,
app,b,1,UP 1/3,2,,20,0,1,0,,
app,c,0,DOWN,2,250,0,0,0,0,,
app,d,0,MAINT,2,,0,0,0,0,,
app,e,0,no check,2,,0,0,0,0,,
app,BACKEND,2,UP,1,,70,5,2,1,,

"""
HAPROXY = {
    'RequestCount': (101, 'Counter'),
    'HTTPCode_ELB_4XX': (8, 'Counter'),
    'HTTPCode_ELB_5XX': (3, 'Counter'),
    'HTTPCode_Backend_2XX': (70, 'Counter'),
    'HTTPCode_Backend_3XX': (5, 'Counter'),
    'HTTPCode_Backend_4XX': (2, 'Counter'),
    'HTTPCode_Backend_5XX': (1, 'Counter'),
    'Latency': (0.25, 'Seconds'),
    'HealthyHostCount': (3, 'Counter'),
    'UnHealthyHostCount': (1, 'Counter'),
}


def test_haproxy_is_summed_up_by_the_names_of_cfn_push_stats():
    assert told(haproxy.parse(CSV)) == HAPROXY


@pytest.mark.parametrize('text', ['', '<html>', 'a,b\n1,2\n'])
def test_what_is_no_haproxy_is_refused(text):
    with pytest.raises(ValueError, match='not the CSV of HAProxy'):
        haproxy.parse(text)


def test_haproxy_is_asked_at_its_socket(tmp_path):
    path = str(tmp_path / 's')
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()

        def answer():
            connection, _ = server.accept()
            with connection:
                assert connection.recv(100) == b'show stat\n'
                connection.sendall(CSV.encode())

        thread = threading.Thread(target=answer)
        thread.start()
        found = told(due(Statistics(['haproxy'], LOG, haproxy=path)))
        thread.join(5)
    assert found == HAPROXY


def test_a_haproxy_that_is_away_is_said_and_asked_again(tmp_path, now, caplog):
    path = str(tmp_path / 'none')
    statistics = Statistics(['haproxy'], LOG, haproxy=path)
    assert due(statistics) == []
    assert f'{path}: No such file' in caplog.text
    now.now += 60
    assert due(statistics) == []
    assert caplog.text.count('No such file') == 1


def test_the_stats_page_is_asked_for_csv(monkeypatch):
    asked = []

    def exchange(method, url, **options):
        asked.append((method, url, options['proxied']))
        return SimpleNamespace(status=200 if len(asked) < 3 else 401, body=CSV.encode())

    monkeypatch.setattr('aodh_ha.agent.transport.exchange', exchange)
    assert told(haproxy.statistics('http://u:secret@localhost/stats')) == HAPROXY
    haproxy.statistics('http://localhost/stats;csv')
    assert asked == [
        ('GET', 'http://u:secret@localhost/stats;csv', False),
        ('GET', 'http://localhost/stats;csv', False),
    ]
    with pytest.raises(OSError, match='HTTP 401') as e:
        haproxy.statistics('http://u:secret@localhost/stats')
    assert 'secret' not in str(e.value)
