"""One guest as a hypervisor sees it: a folder with disks, a power state, processes.

Below $DEVCLOUD_STATE/data:
  hosts/<host>/guests/<uuid>/guest.json      power state, boots, pid of init (written here)
                             processes.json  pids and start times (written by init)
                             console.log     what the guest printed
                             config/         the config drive: openstack/latest/meta_data.json
                             root/           root disk, or a link to the volume that is one
                             volumes/<dev>   a link to each attached volume
                             panicked        exists while the guest's kernel is in panic
                             faketime        how far the guest's wall clock is wrong
  volumes/<volume id>/       the content of a volume
  servers/<uuid>.json        what outlives the root disk and the host: boots, panics
"""

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import uuid as uuids
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from guests import processes

HERE = pathlib.Path(__file__).resolve().parent
IMAGE = HERE / 'image'

RUNNING, PAUSED, SUSPENDED, SHUTDOWN = 'running', 'paused', 'suspended', 'shutdown'

FILE, DRIVE, SERVICE = 'file', 'config drive', 'metadata service'
"""Where a guest finds its metadata. A file that follows Nova stands in for the metadata service,
unless the image wants that itself: a guest in a hundred tests needs no answer of Nova to boot."""

STRENGTH = {
    'soft': 1,
    'start': 2,
    'hard': 2,
    'migrate': 2,
    'rebuild': 3,
    'evacuate': 3,
    'spawn': 3,
}
"""A panic that is healed by one kind of boot is healed by the stronger ones, too."""

FAKETIME = (
    '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1',
    '/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1',
    '/usr/lib/faketime/libfaketimeMT.so.1',
)


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """The object in a file; empty if there is none."""
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: pathlib.Path, value: object) -> None:
    """Write in one step: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f'.{path.name}.{os.getpid()}.{time.monotonic_ns()}')
    new.write_text(json.dumps(value, indent=1, sort_keys=True) + '\n')
    new.replace(path)


@contextlib.contextmanager
def updating(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    """The object in a file, for change: hosts and the fault command write to the same one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f'.{path.name}.lock'), 'a') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        value = read_json(path)
        yield value
        write_json(path, value)


def faketime_library() -> str:
    """Debian's libfaketime, or '' if the package is missing."""
    return next((path for path in FAKETIME if os.path.exists(path)), '')


def switch_port(environ: dict[str, str]) -> int:
    """The port of the guests' network; 0: they are on the machine's own."""
    given = environ.get('DEVCLOUD_GUEST_NET', '')
    if given:
        return int(given)
    base = environ.get('DEVCLOUD_PORT', '')
    return int(base) + 80 if base else 0


class Machine:
    """The guest `uuid` on `host`; the object holds no state of its own."""

    def __init__(self, state: pathlib.Path | str, host: str, uuid: str) -> None:
        self.state = pathlib.Path(state).absolute()
        self.host = host
        self.uuid = uuid
        self.folder = self.state / 'data' / 'hosts' / host / 'guests' / uuid
        self.root = self.folder / 'root'
        self.console = self.folder / 'console.log'
        self.memory = self.state / 'data' / 'servers' / f'{uuid}.json'

    # What is known of it

    @property
    def record(self) -> dict[str, Any]:
        return read_json(self.folder / 'guest.json')

    @property
    def processes(self) -> dict[str, tuple[int, str]]:
        """(pid, start time) by role: init, web, agent; as init wrote it."""
        found = read_json(self.folder / 'processes.json')
        return {k: (int(v[0]), str(v[1])) for k, v in found.items()}

    @property
    def init(self) -> tuple[int, str]:
        found = self.record.get('init') or [0, '']
        return int(found[0]), str(found[1])

    def alive(self) -> bool:
        """Whether its init is there, be it frozen or in panic."""
        return processes.alive(*self.init)

    def power(self) -> str:
        """The power state as it is, not only as it was ordered."""
        record = self.record
        state = str(record.get('state', SHUTDOWN))
        if record.get('resume'):
            return state  # `devcloud down` has it off for a while: see cli.py
        return state if state == SHUTDOWN or self.alive() else SHUTDOWN

    def save(self, **fields: object) -> None:
        with updating(self.folder / 'guest.json') as record:
            record.update(fields)

    def console_tail(self, size: int = 102400) -> bytes:
        try:
            with open(self.console, 'rb') as f:
                f.seek(max(0, os.fstat(f.fileno()).st_size - size))
                return f.read()
        except FileNotFoundError:
            return b''

    # Its disks and its config drive

    def create(
        self,
        name: str,
        volumes: dict[str, str],
        root_device: str = '',
        content: pathlib.Path | None = None,
    ) -> None:
        """Make the disks: a root disk, fresh or with this content, unless the root is a volume.

        `volumes` maps device names such as vdb to volume ids.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._unlink(self.folder / 'volumes')
        (self.folder / 'volumes').mkdir()
        self._unlink(self.root)
        for device, volume in volumes.items():
            self.attach(device, volume)
        if root_device in volumes:
            self.root.symlink_to(self._volume(volumes[root_device]))
        elif content and content.is_dir():
            shutil.copytree(content, self.root, symlinks=True)
        else:
            self.root.mkdir()
        if not (self.root / 'etc' / 'aodh-ha').exists():
            shutil.copytree(IMAGE, self.root, dirs_exist_ok=True)
        self.save(uuid=self.uuid, host=self.host, name=name, state=SHUTDOWN,
                  root_device=root_device)  # fmt: skip

    def pack(self, file: BinaryIO) -> None:
        """Write the root disk's content, as a snapshot has it."""
        with tarfile.open(fileobj=file, mode='w') as archive:
            archive.add(self.root, '.')

    def unpack(self, file: BinaryIO) -> None:
        """Put a snapshot's content on the root disk, unless that is a volume: Cinder filled it."""
        if not self.root.is_symlink():
            with tarfile.open(fileobj=file) as archive:
                archive.extractall(self.root, filter='tar')

    @staticmethod
    def _unlink(path: pathlib.Path) -> None:
        if path.is_symlink():
            path.unlink()
        else:
            shutil.rmtree(path, ignore_errors=True)

    def _volume(self, volume: str) -> pathlib.Path:
        folder = self.state / 'data' / 'volumes' / volume
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def attach(self, device: str, volume: str) -> None:
        link = self.folder / 'volumes' / device
        self._unlink(link)
        link.symlink_to(self._volume(volume))

    def detach(self, device: str) -> None:
        (self.folder / 'volumes' / device).unlink(missing_ok=True)

    def _metadata(self) -> str:
        """Where its agent reads meta_data.json: of its config drive, or of the metadata service."""
        if self.record.get('datasource') == SERVICE:
            port = int(os.environ['DEVCLOUD_PORT']) + 75
            return f'http://127.0.0.1:{port}/openstack/latest/meta_data.json'
        return str(self.folder / 'config' / 'openstack' / 'latest' / 'meta_data.json')

    def write_config_drive(self, files: Iterable[tuple[str, bytes | str]]) -> None:
        """Make the config drive anew, of these paths and contents."""
        self._unlink(self.folder / 'config')
        for name, content in files:
            path = self.folder / 'config' / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def write_metadata(self, metadata: dict[str, object]) -> None:
        """What the guest reads as meta_data.json; untouched if it says so already."""
        path = self.folder / 'config' / 'openstack' / 'latest' / 'meta_data.json'
        if read_json(path) != metadata:
            write_json(path, metadata)

    def remove(self, forget: bool = False) -> None:
        """Remove the disks, and what outlives them if the server is deleted for good."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if forget:
            self.memory.unlink(missing_ok=True)

    # Its power

    def boot(self, kind: str) -> None:
        """Start init; `kind` is one of STRENGTH."""
        boot_id = str(uuids.uuid4())
        with updating(self.memory) as memory:
            memory['boots'] = memory.get('boots', 0) + 1
            memory.setdefault('history', []).append(
                {'kind': kind, 'host': self.host, 'boot_id': boot_id, 'time': time.time()}
            )
            panic = memory.get('panic', '')
            if panic and panic != 'nothing' and STRENGTH[kind] >= STRENGTH[panic]:
                panic = memory['panic'] = ''
            boots = memory['boots']
        for left in ('processes.json', 'panicked'):
            (self.folder / left).unlink(missing_ok=True)
        # The clock of a machine that boots is set from its host's.
        (self.folder / 'faketime').write_text('+0\n')
        command = [sys.executable, '-S', '-E', str(HERE / 'guest.py'), str(self.folder)]
        if panic:
            command.append(f'--panic={panic}')
        started = subprocess.run(
            command, env=self._environment(boot_id), stdout=subprocess.PIPE, check=True
        )
        pid, start_time = started.stdout.decode().split()
        self.save(state=RUNNING, boots=boots, boot=kind, boot_id=boot_id, resume=False,
                  booted_at=time.time(), init=[int(pid), start_time])  # fmt: skip

    def _environment(self, boot_id: str) -> dict[str, str]:
        """All that a guest's processes get: nothing of the host's secrets."""
        root = self.root
        environ = {
            'PATH': '/usr/sbin:/usr/bin:/sbin:/bin',
            'LC_ALL': 'C.UTF-8',
            'DEVCLOUD_GUEST': self.uuid,
            processes.MARKER: str(self.folder),
            'DEVCLOUD_REPO': os.environ.get('DEVCLOUD_REPO', str(HERE.parents[2])),
            'AODH_HA_CONFIG': str(root / 'etc' / 'aodh-ha' / 'agent.conf'),
            'AODH_HA_METADATA': self._metadata(),
            'AODH_HA_STATE_DIR': str(root / 'var' / 'lib' / 'aodh-ha-agent'),
            'AODH_HA_BOOT_ID': boot_id,
        }
        port = switch_port(dict(os.environ))
        if port:
            # Its name in the address tells the switch who speaks.
            environ['http_proxy'] = f'http://{self.uuid}:guest@127.0.0.1:{port}'
            environ['https_proxy'] = environ['http_proxy']
        library = faketime_library()
        if library:
            environ.update(
                DEVCLOUD_PRELOAD=library,  # for init's children: see guest.py
                FAKETIME_TIMESTAMP_FILE=str(self.folder / 'faketime'),
                FAKETIME_DONT_FAKE_MONOTONIC='1',
                FAKETIME_NO_CACHE='1',
            )
        return environ

    def shutdown(self, grace: float) -> bool:
        """Ask init to end everything; whether it did within `grace` seconds.

        A guest that does not is left as it was.
        """
        pid, start_time = self.init
        asked = False
        end = time.monotonic() + grace
        while processes.alive(pid, start_time):
            if time.monotonic() > end:
                return False
            # A signal to a frozen process would wait for it and end it once it is thawed.
            if not asked and not processes.stopped(pid, start_time):
                os.kill(pid, signal.SIGTERM)
                asked = True
            time.sleep(0.05)
        processes.kill_all(self.folder)  # what init left behind
        return True

    def kill(self) -> None:
        """Pull the plug."""
        processes.kill_all(self.folder)

    def halt(self, state: str) -> None:
        """Pause or suspend: the processes stand still."""
        processes.signal_all(self.folder, signal.SIGSTOP)
        self.save(state=state)

    def go_on(self) -> None:
        processes.signal_all(self.folder, signal.SIGCONT)
        self.save(state=RUNNING)


def machines(state: pathlib.Path | str, host: str = '*') -> list[Machine]:
    """All guests that a host, or any host, has."""
    hosts = pathlib.Path(state).absolute() / 'data' / 'hosts'
    found = sorted(hosts.glob(f'{host}/guests/*/guest.json'))
    return [Machine(state, p.parts[-4], p.parts[-2]) for p in found]
