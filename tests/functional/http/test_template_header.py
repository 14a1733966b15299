"""What the header of plain-aodh.yaml tells to type, typed as it stands there.

The gateway is a real one; of `openstack` and `aodh-ha` only what they print is there.
"""

import os
import pathlib
import shutil
import subprocess

import pytest

from aodh_ha.rules.heartbeat import resource_id
from tests.functional.http.test_gunicorn import running as running_fixture
from tests.functional.http.test_gunicorn import start as start_fixture
from tests.samples import OTHER_ID, SERVER_ID

running, start = running_fixture, start_fixture

TEMPLATE = pathlib.Path(__file__).parents[3] / 'deploy/heat-templates/plain-aodh.yaml'
OPENSTACK = f"""#!/bin/sh
printf '%s\\n' "$*" >> "$FOLDER/typed"
case "$*" in
'token issue -f value -c id') echo "$TOKEN_THAT_IS_ISSUED" ;;
'stack output show plain server -f value -c output_value') echo {SERVER_ID} ;;
'stack output show plain alarm -f value -c output_value') echo {OTHER_ID} ;;
'stack create '*|'stack update '*) ;;
*) exit 2 ;;
esac
"""

pytestmark = pytest.mark.skipif(
    not (shutil.which('curl') and shutil.which('jq')), reason='needs curl and jq'
)


def typed() -> str:
    """The commands of the header: what is indented below its numbered steps."""
    lines = TEMPLATE.read_text().partition('heat_template_version')[0].splitlines()
    found, continued = [], False
    for line in lines:
        text = line.removeprefix('#   ').removeprefix('1. ').strip()
        command = text.startswith(('openstack ', 'SERVER=', 'TOKEN=', 'curl ', 'aodh-ha '))
        if command or continued:
            found.append(text)
            continued = text.endswith('\\')
    return '\n'.join(found)


def test_the_header_of_a_template_is_typed_as_it_stands(running, tmp_path):
    programs = tmp_path / 'bin'
    programs.mkdir()
    for name, text in {'openstack': OPENSTACK, 'aodh-ha': '#!/bin/sh\n'}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    script = typed()
    assert script.count('curl ') == 2
    assert 'http://ha.example.org:8787' in script
    environ = os.environ | {
        'PATH': f'{programs}:{os.environ["PATH"]}',
        'FOLDER': str(tmp_path),
        'TOKEN_THAT_IS_ISSUED': running.token,
    }
    done = subprocess.run(
        ['bash', '-euo', 'pipefail', '-c',
         script.replace('http://ha.example.org:8787', running.gunicorn.url)],
        cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (alarm,) = running.call('GET', '/v1/alarms').json()['alarms']
    assert (alarm['server_id'], alarm['aodh_alarm_id']) == (SERVER_ID, OTHER_ID)
    asked = (tmp_path / 'typed').read_text().splitlines()
    (update,) = [line.split() for line in asked if line.startswith('stack update')]
    assert [w for w in update if w.startswith('-')] == [
        '--existing',
        '--wait',
        *['--parameter'] * 3,
    ]
    given = dict(w.split('=', 1) for w in update if '=' in w)
    assert given['guest'] == resource_id(SERVER_ID)
    assert given['alarm_url'].startswith(f'{running.gunicorn.url}/v1/alarms/')
    assert given['telemetry_url'].startswith(f'{running.gunicorn.url}/v1/telemetry/')
