"""Hooks: commands and URLs of the operator's, which policies and notifications name.

Only the service's configuration says what a name stands for, so that a policy can never bring a
command or an address of its own. What hooks are told are facts, a flat mapping of short strings:
a command finds ``server_id`` in its environment as ``AODH_HA_SERVER_ID``, a URL gets all of them
as one JSON object.
"""

import json
import logging
import os
import shlex
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

from oslo_config import cfg

from aodh_ha import __version__
from aodh_ha.exceptions import ActionRefused
from aodh_ha.opts import HOOK

LOG = logging.getLogger(__name__)

MAX_OUTPUT = 4096
"""Bytes of a command's output, or of an answer, that are kept: the first ones."""

MAX_FACT = 16_384
"""Characters; Linux allows 128 KiB for one variable."""

PASSED_ON = ('PATH', 'HOME', 'LANG', 'LC_ALL', 'TZ')
"""What a command gets of the worker's own environment, which may have passwords in it."""

LINGER = 1.0
"""Seconds for which the output of a command that has ended is still read: what it started in the
background may keep it open."""


@dataclass(frozen=True)
class HookResult:
    """What a hook said."""

    ok: bool
    """Exit code 0, or a 2xx answer, within the time limit."""
    output: str
    """What it printed or answered, shortened; why it failed, where it did."""


class Hooks:
    """The hooks that the configuration names."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._groups = {name: conf[f'{HOOK}{name}'] for name in conf.hooks.names}

    @property
    def names(self) -> frozenset[str]:
        """Those that may be run."""
        return frozenset(self._groups)

    def run(self, name: str, facts: Mapping[str, str]) -> HookResult:
        """Run a hook and wait for it, for as long as its ``timeout`` says.

        Raises ActionRefused when the configuration has none of this name.
        """
        group = self._groups.get(name)
        if group is None:
            raise ActionRefused(
                f'there is no hook {name!r}: add it to [hooks] names, and a group [{HOOK}{name}]'
            )
        told = {key: value.replace('\0', '')[:MAX_FACT] for key, value in facts.items()}
        if group.command:
            result = _command(shlex.split(group.command), told, group.timeout)
        else:
            result = _post(group.url, told, group.timeout)
        # The command line and the URL may have secrets in them, so only the name is logged.
        LOG.info('hook %s: %s', name, 'done' if result.ok else f'failed: {result.output}')
        return result


def _command(argv: list[str], facts: Mapping[str, str], timeout: float) -> HookResult:
    environment = {k: os.environ[k] for k in PASSED_ON if k in os.environ}
    environment |= {f'AODH_HA_{key.upper()}': value for key, value in facts.items()}
    try:
        process = subprocess.Popen(
            argv,
            env=environment,
            cwd='/',
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as e:
        return HookResult(False, f'it cannot be run: {getattr(e, "strerror", None) or e}')
    kept = bytearray()
    assert process.stdout is not None  # noqa: S101 - asked for above
    reader = threading.Thread(target=_drain, args=(process.stdout, kept), daemon=True)
    reader.start()
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        _kill(process)
        reader.join(LINGER)
        return HookResult(False, _joined(f'not done in {timeout:g} s, killed', _text(kept)))
    reader.join(LINGER)
    if code == 0:
        return HookResult(True, _text(kept))
    how = f'exit code {code}' if code > 0 else f'ended by signal {-code}'
    return HookResult(False, _joined(how, _text(kept)))


def _drain(stream: IO[bytes], kept: bytearray) -> None:
    # Read to the end, or a command that prints much would wait for us for ever.
    while chunk := os.read(stream.fileno(), 65536):
        kept += chunk[: MAX_OUTPUT - len(kept)]
    stream.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)  # its children too: it leads a session of its own
    except ProcessLookupError:
        pass
    process.wait()


def _post(url: str, facts: Mapping[str, str], timeout: float) -> HookResult:
    request = urllib.request.Request(  # noqa: S310 - http(s) only, see aodh_ha.options
        url,
        data=json.dumps(facts).encode(),
        headers={'Content-Type': 'application/json', 'User-Agent': f'aodh-ha/{__version__}'},
        method='POST',
    )

    def exchange() -> HookResult:
        try:
            with _OPENER.open(request, timeout=timeout) as answer:
                return HookResult(True, _text(answer.read(MAX_OUTPUT)))
        except urllib.error.HTTPError as e:
            with e:
                return HookResult(False, _joined(f'answer {e.code}', _text(e.read(MAX_OUTPUT))))
        except (OSError, ValueError) as e:
            # Their texts are about the connection, not about the URL.
            reason = getattr(e, 'reason', None) or e
            return HookResult(False, f'no answer: {str(reason)[:200]}')

    return _within(timeout, exchange)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET without the facts: it counts as a refusal."""

    def redirect_request(self, *_: Any) -> None:
        return None


# No proxy by the environment: where facts go is said by the configuration alone.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects())


def _within(timeout: float, work: Callable[[], HookResult]) -> HookResult:
    """A bound for the whole exchange: a socket's own holds for each single read of it."""
    results: list[HookResult] = []

    def run() -> None:
        results.append(work())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout)
    return results[0] if results else HookResult(False, f'no answer in {timeout:g} s')


def _text(output: bytes | bytearray) -> str:
    text = bytes(output).decode(errors='replace').replace('\0', '')
    return text.strip()


def _joined(what: str, output: str) -> str:
    return f'{what}: {output}' if output else what
