"""What can go wrong with a guest or a host, done for real.

Each fault is a function; `devcloud fault NAME ...` calls it. SERVER is a server's uuid or
its name.
"""

import os
import pathlib
import signal
import time
from collections.abc import Callable

from guests import machine as machines
from guests import processes
from guests.machine import Machine

HEALED_BY = ('soft', 'hard', 'rebuild', 'nothing')
NOTICE_TIMEOUT = 5.0
"""Seconds within which a fault must show; else the command fails."""


class FaultError(Exception):
    """The fault could not be injected; the message says why."""


def find(state: pathlib.Path, server: str) -> Machine:
    """The guest of a server; after an evacuation the one that was booted last."""
    found = [m for m in machines.machines(state) if server in (m.uuid, m.record.get('name'))]
    if len({m.uuid for m in found}) > 1:
        raise FaultError(f'{server}: several servers have this name; take the uuid of one')
    if not found:
        known = sorted({str(m.record.get('name')) for m in machines.machines(state)})
        raise FaultError(f'{server}: no such guest; there are {", ".join(known) or "none"}')
    return max(found, key=lambda m: m.record.get('booted_at', 0))


def _wait(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + NOTICE_TIMEOUT
    while not condition():
        if time.monotonic() > end:
            raise FaultError(f'{what}: not within {NOTICE_TIMEOUT:g} s')
        time.sleep(0.02)


def _signal(machine: Machine, role: str, number: signal.Signals) -> tuple[int, str]:
    pid, start_time = machine.processes.get(role, (0, ''))
    if not processes.alive(pid, start_time):
        raise FaultError(f'{machine.uuid}: its {role} does not run')
    os.kill(pid, number)
    return pid, start_time


def service_dies(machine: Machine) -> None:
    process = _signal(machine, 'web', signal.SIGKILL)
    _wait(lambda: not processes.alive(*process), 'the service dies')


def service_hangs(machine: Machine) -> None:
    process = _signal(machine, 'web', signal.SIGSTOP)
    _wait(lambda: processes.stopped(*process), 'the service hangs')


def service_breaks(machine: Machine) -> None:
    """The service dies, and what it starts from is damaged: only a new root disk heals that."""
    (machine.root / 'etc' / 'web.broken').touch()
    service_dies(machine)


def agent_dies(machine: Machine) -> None:
    process = _signal(machine, 'agent', signal.SIGKILL)
    _wait(lambda: not processes.alive(*process), 'the agent dies')


def agent_restarts(machine: Machine) -> None:
    pid, start_time = machine.processes.get('agent', (0, ''))
    if not machine.alive():
        raise FaultError(f'{machine.uuid}: it does not run')
    os.kill(machine.init[0], signal.SIGHUP)

    def again() -> bool:
        now = machine.processes.get('agent', (0, ''))
        return now != (pid, start_time) and processes.alive(*now)

    _wait(again, 'the agent starts again')


def freeze(machine: Machine) -> None:
    if not processes.signal_all(machine.folder, signal.SIGSTOP):
        raise FaultError(f'{machine.uuid}: it does not run')
    _wait(lambda: processes.stopped(*machine.init), 'the guest freezes')


def shuts_down(machine: Machine) -> None:
    """`poweroff` inside the guest: in order, but on nobody's request to Nova."""
    pid, start_time = machine.init
    if not processes.alive(pid, start_time):
        raise FaultError(f'{machine.uuid}: it does not run')
    os.kill(pid, signal.SIGTERM)
    _wait(lambda: not processes.alive(pid, start_time), 'the guest shuts down')


def crashes(machine: Machine) -> None:
    """The guest is gone at once, as when its hypervisor's process is killed."""
    if not machine.alive():
        raise FaultError(f'{machine.uuid}: it does not run')
    machine.kill()


def panic(machine: Machine, healed_by: str) -> None:
    """The guest's kernel panics, again at each boot that is weaker than `healed_by`."""
    if not machine.alive():
        raise FaultError(f'{machine.uuid}: it does not run')
    with machines.updating(machine.memory) as memory:
        memory['panic'] = healed_by
    pid, _ = machine.init
    os.kill(pid, signal.SIGUSR2 if healed_by == 'soft' else signal.SIGUSR1)
    _wait((machine.folder / 'panicked').exists, 'the guest panics')


def host_dies(state: pathlib.Path, host: str) -> int:
    """Power cut of a compute host: nova-compute and all guests; how many guests there were."""
    run = state / 'run' / f'nova-compute-{host}'
    try:
        pid, start_time = run.read_text().split()
    except (OSError, ValueError):
        raise FaultError(f'{host}: no such compute host runs here ({run})') from None
    if processes.alive(int(pid), start_time):
        os.killpg(int(pid), signal.SIGKILL)
        _wait(lambda: not processes.alive(int(pid), start_time), 'nova-compute dies')
    count = 0
    for machine in machines.machines(state, host):
        count += machine.alive()
        machine.kill()
    return count


def _cut_file(state: pathlib.Path, name: str) -> pathlib.Path:
    return state / 'data' / 'net' / f'{name}.cut'


def net_cut(state: pathlib.Path, server: str) -> None:
    """From now on nothing of the guest, or of `all`, reaches the gateway."""
    if not machines.switch_port(dict(os.environ)):
        raise FaultError('the guests have no network of their own: set DEVCLOUD_PORT')
    path = _cut_file(state, 'all' if server == 'all' else find(state, server).uuid)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def net_heal(state: pathlib.Path, server: str) -> None:
    name = 'all' if server == 'all' else find(state, server).uuid
    _cut_file(state, name).unlink(missing_ok=True)


def clock(machine: Machine, seconds: int) -> None:
    """Set the guest's wall clock that far wrong, until its next boot; negative: back."""
    if not machines.faketime_library():
        raise FaultError('libfaketime is missing: apt-get install faketime, then reboot the guest')
    new = machine.folder / 'faketime.new'
    new.write_text(f'{seconds:+d}\n')
    new.replace(machine.folder / 'faketime')


def heal(machine: Machine) -> None:
    """Take back what can be taken back without a boot: freeze, hang, network, clock, panic.

    What died stays dead, and a guest that panicked needs a boot, which will now succeed.
    """
    _cut_file(machine.state, machine.uuid).unlink(missing_ok=True)
    with machines.updating(machine.memory) as memory:
        memory['panic'] = ''
    (machine.folder / 'faketime').write_text('+0\n')
    if machine.record.get('state') == machines.RUNNING:
        processes.signal_all(machine.folder, signal.SIGCONT)


def present(machine: Machine) -> list[str]:
    """The faults that a guest has now, by looking at it."""
    found = []
    if machine.power() == machines.RUNNING and not machine.record.get('resume'):
        roles = machine.processes
        web, agent = roles.get('web', (0, '')), roles.get('agent', (0, ''))
        if processes.stopped(*machine.init):
            found.append('frozen')
        elif (machine.folder / 'panicked').exists():
            found.append('panicked')
        else:
            if processes.stopped(*web):
                found.append('service hangs')
            elif not processes.alive(*web):
                found.append('service died')
            if (machine.root / 'etc' / 'web.broken').exists():
                found.append('service broken')
            if not processes.alive(*agent):
                found.append('agent died')
    if machines.read_json(machine.memory).get('panic'):
        found.append(f'panic healed by {machines.read_json(machine.memory)["panic"]}')
    if any(_cut_file(machine.state, name).exists() for name in (machine.uuid, 'all')):
        found.append('network cut')
    try:
        shift = int((machine.folder / 'faketime').read_text())
    except (OSError, ValueError):
        shift = 0
    if shift:
        found.append(f'clock {shift:+d} s')
    return found
