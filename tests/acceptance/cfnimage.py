"""An image as heat-templates of 2014 ask for: heat-cfntools, cron, and what boots them.

Only the guest's content is made here; see image2014/rc.local. devcloud's guests run etc/rc.local
of an image that has one.
"""

import io
import pathlib
import tarfile
import tempfile

import openstack

from tests.acceptance.cfntools import PYTHON, unpack

NAMES = ('F17-x86_64-cfntools',)
MINUTE = 10
"""Seconds of a minute of the guests' cron, so that a test has some in a short while."""
HERE = pathlib.Path(__file__).resolve().parent / 'image2014'
TOOLS = ('cfn-get-metadata', 'cfn-hup', 'cfn-init', 'cfn-push-stats', 'cfn-signal')


def create(cloud: openstack.connection.Connection) -> None:
    """Upload the image, under each of its names, where it is not there yet."""
    missing = [n for n in NAMES if not cloud.image.find_image(n)]
    if not missing:
        return
    with tempfile.TemporaryDirectory() as folder:
        data = _pack(unpack(pathlib.Path(folder)))
    for name in missing:
        cloud.image.create_image(
            name=name,
            container_format='bare',
            disk_format='raw',
            visibility='public',
            data=data,
            allow_duplicates=True,
            # As on real clouds: user data are on a drive.
            img_config_drive='mandatory',
        )


def _pack(packages: pathlib.Path) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode='w') as archive:
        for folder in ('usr/bin', 'usr/lib'):
            archive.add(packages / folder, folder)
        archive.add(HERE / 'rc.local', 'etc/rc.local')
        _add(archive, 'etc/minute', str(MINUTE))
        for tool in TOOLS:
            script = f'#!/bin/sh\nexec {PYTHON} -W ignore /mnt/disk/usr/bin/{tool} "$@"\n'
            _add(archive, f'opt/aws/bin/{tool}', script)
    return file.getvalue()


def _add(archive: tarfile.TarFile, name: str, text: str) -> None:
    found = tarfile.TarInfo(name)
    found.size, found.mode = len(text), 0o755
    archive.addfile(found, io.BytesIO(text.encode()))
