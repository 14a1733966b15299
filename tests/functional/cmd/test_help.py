"""What `aodh-ha --help` costs."""

import json
import subprocess
import sys

HEAVY = (
    'openstack',
    'keystoneauth1',
    'novaclient',
    'aodhclient',
    'requests',
    'flask',
    'sqlalchemy',
)


def test_help_imports_none_of_the_large_libraries():
    options = [['--help'], ['--version'], ['guest', 'list', '--help']]
    program = (
        'import json, sys\n'
        'from aodh_ha.cmd.main import main\n'
        f'for options in {options}:\n'
        '    try:\n'
        '        main(options)\n'
        '    except SystemExit:\n'
        '        pass\n'
        f'    print(json.dumps([options, [m for m in {HEAVY} if m in sys.modules]]))\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) > 10
    assert [json.loads(line) for line in lines if line.startswith('[[')] == [
        [option, []] for option in options
    ]
