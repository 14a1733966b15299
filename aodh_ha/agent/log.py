"""The agent's log, on standard error.

As much of `logging` as is used here: that module is more than a megabyte of the 15 that
this program may take in a guest.
"""

import os
import sys
import threading
import time

LEVELS = {'DEBUG': 7, 'INFO': 6, 'WARNING': 4, 'ERROR': 3}  # and what sd-daemon(3) calls them


class Log:
    """Says what happens; methods and arguments are those of logging.Logger."""

    def __init__(self, verbose: bool = False) -> None:
        self._verbose = verbose
        self._lock = threading.Lock()
        # The journal has its own times, and wants the level as a number.
        self._journal = bool(os.environ.get('JOURNAL_STREAM'))

    def debug(self, text: str, *arguments: object) -> None:
        """Said with --verbose only."""
        if self._verbose:
            self._say('DEBUG', text, arguments)

    def info(self, text: str, *arguments: object) -> None:
        """All is well."""
        self._say('INFO', text, arguments)

    def warning(self, text: str, *arguments: object) -> None:
        """Something is not."""
        self._say('WARNING', text, arguments)

    def error(self, text: str, *arguments: object) -> None:
        """Somebody has to do something."""
        self._say('ERROR', text, arguments)

    def exception(self, text: str, *arguments: object) -> None:
        """A fault of this program, with what Python knows of it."""
        import traceback

        self._say('ERROR', text + '\n' + traceback.format_exc().replace('%', '%%'), arguments)

    def _say(self, level: str, text: str, arguments: 'tuple[object, ...]') -> None:
        line = (text % arguments if arguments else text.replace('%%', '%')).rstrip()
        if self._journal:
            line = '<{}>{}'.format(
                LEVELS[level], line.replace('\n', '\n<{}>'.format(LEVELS[level]))
            )
        else:
            line = '{} {} {}'.format(time.strftime('%Y-%m-%d %H:%M:%S'), level, line)
        try:
            with self._lock:
                sys.stderr.write(line + '\n')
                sys.stderr.flush()
        except (OSError, ValueError):
            pass  # a log that cannot be written is no reason to fall silent


def logger(verbose: bool) -> 'logging.Logger':
    """One that all modules here take for one of `logging`."""
    return Log(verbose)  # type: ignore[return-value]


MYPY = False
if MYPY:
    import logging
