"""Bring the acceptance tests' devcloud up, or remove it.

    python -m tests.acceptance.prepare up|wipe

`make test` does the first while other tests run, since a start takes minutes, and the second in
the end. With DEVCLOUD_KEEP=1 nothing is removed.
"""

import os
import sys

from tests.acceptance.devcloud import COMMAND, PORT, REPOSITORY, STATE, Devcloud


def main() -> None:
    devcloud = Devcloud(REPOSITORY / STATE, PORT)
    if os.environ.get('DEVCLOUD_KEEP') != '1':
        devcloud.wipe()
    if sys.argv[1:] == ['up']:
        # In place of this process: who ends `make test` then ends it, too.
        os.execve(COMMAND, [str(COMMAND), 'up'], devcloud.environment)


if __name__ == '__main__':
    main()
