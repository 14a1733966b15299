"""A guest's init: boots it, reaps its processes, and ends them in order on SIGTERM.

    guest.py FOLDER [--panic=KIND]

Prints `pid start-time` of the init that it leaves running, in a session of its own and
child of nobody here: a guest outlives the nova-compute that started it. SIGUSR1 makes it
panic; SIGUSR2 makes it panic so that SIGTERM still ends it; SIGHUP restarts the agent, and
SIGRTMIN the service.
"""

import ctypes
import os
import pathlib
import re
import signal
import sys
import time

sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])
from guests import processes  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
PORT_TIMEOUT = 10.0  # seconds the service may take to say its port
STOP_TIMEOUT = 1.5  # seconds each process has to end, as an init's DefaultTimeoutStopSec
SIGNALS = {
    signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGRTMIN,
}  # fmt: skip


def detach() -> None:
    """Go on in a grandchild; the parent prints who that is, and exits."""
    read, write = os.pipe()
    child = os.fork()
    if child:
        os.close(write)
        with os.fdopen(read) as f:
            print(f.read().strip(), flush=True)
        os.waitpid(child, 0)
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.close(read)
    os.write(write, f'{os.getpid()} {processes.born(os.getpid())}\n'.encode())
    os.close(write)


class Init:
    """Process number one of a guest."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.root = folder / 'root'
        self.pids: dict[str, int] = {}
        self.began = time.monotonic()

    def log(self, text: str) -> None:
        """A line on the console, with the seconds since power-on as the kernel writes them."""
        print(f'[{time.monotonic() - self.began:12.6f}] {text}', flush=True)

    def record(self) -> None:
        """Tell the hypervisor's side who is who."""
        found = {'init': os.getpid(), **self.pids}
        text = ', '.join(f'"{n}": [{p}, "{processes.born(p)}"]' for n, p in found.items())
        new = self.folder / 'processes.json.new'
        new.write_text(f'{{{text}}}\n')
        new.replace(self.folder / 'processes.json')

    def start(self, name: str, *arguments: str, clock: bool = True) -> None:
        """Start a program, with the guest's clock unless it needs none."""
        environ = {**os.environ, 'DEVCLOUD_PYTHON': sys.executable}
        library = environ.pop('DEVCLOUD_PRELOAD', '')
        if library and clock:
            # Not for init itself: Python's time.sleep fails under libfaketime.
            environ['LD_PRELOAD'] = library
        # posix_spawn, because only it can give the child another signal mask than ours
        # without running Python code between fork and exec.
        self.pids[name] = os.posix_spawn(
            sys.executable,
            [sys.executable, '-S', '-E', *arguments],
            environ,
            setsigmask=[],
            setsigdef=list(SIGNALS),
        )

    def boot(self) -> None:
        """Start the service, then the agent that watches it."""
        self.log(f'devcloud guest {os.environ["DEVCLOUD_GUEST"]}')
        self.log(f'boot id {os.environ["AODH_HA_BOOT_ID"]}')
        for entry in sorted((self.folder / 'volumes').iterdir()):
            self.log(f'{entry.name}: attached')
        self.start_web()
        self.start_agent()
        own = self.root / 'etc' / 'rc.local'
        if own.exists():
            self.start('rc', str(own))  # an image may have more to boot, as Python
        self.record()
        self.log(
            f'aodh-ha-agent: started, boot finished after {time.monotonic() - self.began:.2f} s'
        )

    def start_web(self) -> None:
        """Start the service and wait until it listens."""
        began = time.monotonic()
        port_file = self.root / 'run' / 'web.port.now'
        port_file.parent.mkdir(exist_ok=True)
        port_file.unlink(missing_ok=True)
        # Threads that wait for each other spin under libfaketime: thirty services took a core.
        self.start('web', str(HERE / 'service.py'), str(self.folder), clock=False)
        self.record()
        while not port_file.exists():
            if time.monotonic() - began > PORT_TIMEOUT or not processes.born(self.pids['web']):
                self.log('web: failed to start')
                break
            time.sleep(0.01)
        else:
            port = port_file.read_text().strip()
            self.log(f'web: started on port {port}')
            self.tell_agent(port)

    def restart_web(self) -> None:
        """End the service and start it again; restart.py asks for it."""
        self.log('web: restarting')
        self.end('web')
        self.reap()
        self.start_web()

    def start_agent(self) -> None:
        self.start('agent', os.path.join(os.environ['DEVCLOUD_REPO'], 'aodh_ha', 'agent'))

    def restart_agent(self) -> None:
        """End the agent and start it again, as an update of it does."""
        self.end('agent')
        self.reap()
        self.start_agent()
        self.record()
        self.log('aodh-ha-agent: started again')

    def tell_agent(self, port: str) -> None:
        """Put the service's port into the agent's settings and leave the rest as it is."""
        path = pathlib.Path(os.environ['AODH_HA_CONFIG'])
        if path.exists():
            text = re.sub(r'(http://127\.0\.0\.1:)(PORT|\d+)(/health)', rf'\g<1>{port}\3',
                          path.read_text())  # fmt: skip
            path.write_text(text)

    def reap(self) -> None:
        """Bury the dead, orphans included; nobody is started again: that is the fault's point."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for name, known in list(self.pids.items()):
                if known == pid:
                    self.log(f'{name}: ended, wait status {status}')
                    del self.pids[name]  # the number may be a stranger's from now on

    def end(self, name: str) -> None:
        """SIGTERM to a process of ours, and SIGKILL if it takes its time."""
        pid = self.pids.get(name, 0)
        end = time.monotonic() + STOP_TIMEOUT
        if pid and processes.born(pid):
            os.kill(pid, signal.SIGTERM)
        while pid and processes.born(pid):
            if time.monotonic() > end:
                self.log(f'{name}: does not end, killing it')
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    def stop(self) -> None:
        """End everything in the order opposite to the boot's."""
        self.log('shutting down')
        for name in reversed(list(self.pids)):
            self.end(name)
        self.reap()
        self.log('reboot: Power down')

    def panic(self, ends_on_sigterm: bool, booting: bool = False) -> None:
        """All of user space is gone and init stands still, as a kernel that panicked does."""
        # Not while it boots: then the others are the helpers that tell our pid and end.
        for pid in [] if booting else processes.members(self.folder):
            if pid != os.getpid():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass  # it ended between the look and the signal
        (self.folder / 'panicked').touch()
        self.log('Kernel panic - not syncing: Fatal exception in interrupt')
        self.log('---[ end Kernel panic - not syncing: Fatal exception in interrupt ]---')
        while True:
            number = signal.sigwait(SIGNALS)
            if number == signal.SIGCHLD:
                self.reap()
            elif number == signal.SIGTERM and ends_on_sigterm:
                return

    def run(self, panic: str) -> None:
        """Until the guest is shut down."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.record()
        if panic:
            self.panic(panic == 'soft', booting=True)
            return
        self.boot()
        while True:
            number = signal.sigwait(SIGNALS)
            if number == signal.SIGCHLD:
                self.reap()
            elif number == signal.SIGTERM:
                self.stop()
                return
            elif number == signal.SIGHUP:
                self.restart_agent()
            elif number == signal.SIGRTMIN:
                self.restart_web()
            elif number in (signal.SIGUSR1, signal.SIGUSR2):
                self.panic(number == signal.SIGUSR2)
                return


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    panic = next((a.partition('=')[2] for a in sys.argv[2:] if a.startswith('--panic=')), '')
    detach()
    console = os.open(folder / 'console.log', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((null, 0), (console, 1), (console, 2)):
        os.dup2(old, new)
    os.closerange(3, 256)
    os.chdir(folder / 'root')
    Init(folder).run(panic)


main()
