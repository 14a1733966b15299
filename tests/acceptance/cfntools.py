"""Debian's heat-cfntools, unmodified, each run in a guest's own /etc and /var.

The tools know no other places: credentials and hooks lie in /etc/cfn, what Heat and cloud-init
wrote in /var/lib/heat-cfntools, logs in /var/log. A mount namespace gives each guest its own.
"""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest

PACKAGES = ['heat-cfntools', 'python3-boto', 'python3-psutil', 'python3-six']
PYTHON = '/usr/bin/python3.11'
"""Boto 2 cannot be imported by later ones."""
VERSION = '1.4.2'

NEEDED = pytest.mark.skipif(
    not pathlib.Path(PYTHON).exists() or shutil.which('apt-get') is None or os.geteuid() != 0,
    reason="Debian 12's packages, its Python 3.11, and root for a guest's own /etc and /var",
)
"""By tests that run them."""

# A tmpfs, because one overlay cannot lie on another, and a container's root is one already.
ENTER = """
set -eu
mount -t tmpfs none "$1/lay"
for folder in etc var; do
    mkdir "$1/lay/$folder" "$1/lay/$folder.work"
    mount -t overlay overlay -o \
        "lowerdir=$1/$folder:/$folder,upperdir=$1/lay/$folder,workdir=$1/lay/$folder.work" /$folder
done
mkdir -p /var/cache /var/log
mount --bind "$1/cache" /var/cache
mount --bind "$1/log" /var/log
shift
exec "$@"
"""


def unpack(folder: pathlib.Path) -> pathlib.Path:
    """The packages' files, which are nowhere installed; fails where Debian has them no more."""
    download = ['apt-get', 'download', *PACKAGES]
    if subprocess.run(download, cwd=folder, check=False, capture_output=True).returncode:
        # A new machine has no lists of packages yet.
        subprocess.run(['apt-get', 'update'], check=True, capture_output=True)
        subprocess.run(download, cwd=folder, check=True, capture_output=True)
    for package in folder.glob('*.deb'):
        subprocess.run(['dpkg-deb', '-x', str(package), str(folder / 'root')], check=True)
    assert list(folder.glob(f'heat-cfntools_{VERSION}-*.deb')), 'another version of heat-cfntools'
    return folder / 'root'


class Tools:
    """The tools in one guest."""

    def __init__(self, packages: pathlib.Path, folder: pathlib.Path) -> None:
        self._packages = packages
        self.folder = folder
        for name in ('etc/cfn/hooks.d', 'var/lib/heat-cfntools', 'lay', 'cache', 'log'):
            (folder / name).mkdir(parents=True)

    def write(self, path: str, text: str) -> None:
        """A file of the guest below /etc or /var, as cloud-init writes it at boot."""
        file = self.folder / path.lstrip('/')
        file.write_text(text)
        file.chmod(0o600)

    def give(self, access: str, secret: str, address: str, cfn: str) -> None:
        """What a template writes: credentials, and where the services are."""
        lines = f'AWSAccessKeyId={access}\nAWSSecretKey={secret}\n'
        self.write('/etc/cfn/cfn-credentials', lines)
        host = cfn.removeprefix('http://').partition(':')[0]
        self.write(
            '/var/lib/heat-cfntools/cfn-boto-cfg',
            '[Boto]\ndebug = 0\nis_secure = 0\nhttps_validate_certificates = 1\nnum_retries = 1\n'
            f'cfn_region_name = heat\ncfn_region_endpoint = {host}\n'
            # These two Heat wrote itself while it had a CloudWatch API.
            f'cloudwatch_region_name = heat\ncloudwatch_region_endpoint = {address}\n',
        )
        self.write('/var/lib/heat-cfntools/cfn-metadata-server', f'{cfn}\n')

    def is_server(self, server_id: str) -> None:
        """What the metadata service told, where the tools keep it."""
        known = {'uuid': server_id, 'meta': {'role': 'web'}}
        self.write('/var/lib/heat-cfntools/nova_meta.json', json.dumps(known))

    def run(self, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one; its output, and its log where there is any, say what went wrong."""
        environment = {
            'PATH': '/usr/sbin:/usr/bin:/sbin:/bin',
            'PYTHONPATH': str(self._packages / 'usr/lib/python3/dist-packages'),
            'no_proxy': '*',
        }
        program = [PYTHON, '-W', 'ignore', str(self._packages / 'usr/bin' / tool), *arguments]
        return subprocess.run(
            ['unshare', '--mount', '/bin/bash', '-c', ENTER, 'enter', str(self.folder), *program],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@contextlib.contextmanager
def forwarded(address: str, port: int) -> Iterator[None]:
    """Port 8003, which cfn-push-stats has built in, of a loopback address; as a load balancer."""
    listener = socket.create_server((address, 8003))

    def copy(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with contextlib.suppress(OSError):  # until the listener is closed
            while True:
                near, _ = listener.accept()
                threading.Thread(target=relay, args=(near,), daemon=True).start()

    def relay(near: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),  # nobody is there: the caller is told by the closed end
            near,
            socket.create_connection(('127.0.0.1', port), 10) as far,
        ):
            back = threading.Thread(target=copy, args=(far, near), daemon=True)
            back.start()
            copy(near, far)
            back.join(30)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
