"""Restarts the service of this guest, as `systemctl restart web` does: its init does the work.

    restart.py web

Runs inside a guest; ends when the service listens again, with exit status 1 if it does not.
"""

import json
import os
import pathlib
import select
import signal
import sys
import time

sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])
from guests import processes  # noqa: E402

TIMEOUT = 15.0


def main() -> int:
    if sys.argv[1:] != ['web']:
        print(__doc__, file=sys.stderr)
        return 2
    folder = pathlib.Path(os.environ[processes.MARKER])

    def known() -> dict[str, list[object]]:
        return json.loads((folder / 'processes.json').read_text())

    before = known()
    os.kill(int(before['init'][0]), signal.SIGRTMIN)
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        now = known().get('web')
        listens = (folder / 'root' / 'run' / 'web.port.now').exists()
        if now and now != before.get('web'):
            lives = processes.alive(int(now[0]), str(now[1]))
            if listens or not lives:
                return 0 if lives else 1
        # Not time.sleep, which fails under libfaketime.
        select.select([], [], [], 0.05)
    print('web: not restarted', file=sys.stderr)
    return 1


sys.exit(main())
