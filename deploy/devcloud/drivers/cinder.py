"""Cinder volume driver whose volumes are folders: data/volumes/<volume id> below the state.

The compute driver gives a guest its attached volumes' folders.
"""

import os
import pathlib
import shutil

from cinder.volume import driver


def _folder(volume_id):
    return pathlib.Path(os.environ['DEVCLOUD_STATE'], 'data', 'volumes', volume_id)


class DevcloudVolumeDriver(driver.VolumeDriver):
    VERSION = '1'

    def _nothing(self, *args, **kwargs):
        return None

    do_setup = check_for_setup_error = extend_volume = _nothing
    ensure_export = create_export = remove_export = _nothing
    terminate_connection = copy_image_to_volume = _nothing

    def create_volume(self, volume):
        _folder(volume['id']).mkdir(parents=True, exist_ok=True)

    def delete_volume(self, volume):
        shutil.rmtree(_folder(volume['id']), ignore_errors=True)

    # A snapshot is a copy of the folder under its own id.
    def create_snapshot(self, snapshot):
        self._copy(snapshot['volume_id'], snapshot['id'])

    delete_snapshot = delete_volume

    def create_volume_from_snapshot(self, volume, snapshot):
        self._copy(snapshot['id'], volume['id'])

    def create_cloned_volume(self, volume, source):
        self._copy(source['id'], volume['id'])

    def revert_to_snapshot(self, context, volume, snapshot):
        shutil.rmtree(_folder(volume['id']), ignore_errors=True)
        self._copy(snapshot['id'], volume['id'])

    def _copy(self, source, target):
        shutil.copytree(_folder(source), _folder(target), symlinks=True, dirs_exist_ok=True)

    def clone_image(self, context, volume, image_location, image_meta, image_service):
        self.create_volume(volume)
        return {}, True

    def initialize_connection(self, volume, connector, **kwargs):
        return {
            'driver_volume_type': 'iscsi',
            'data': {
                'volume_id': volume['id'],
                'device_path': str(_folder(volume['id'])),
                'target_portal': '127.0.0.1:3260',
                'target_iqn': 'iqn.2010-10.org.openstack:' + volume['id'],
                'target_lun': 1,
                'target_discovered': False,
            },
        }

    def _update_volume_stats(self):
        self._stats = {
            'volume_backend_name': 'devcloud',
            'vendor_name': 'devcloud',
            'driver_version': self.VERSION,
            'storage_protocol': 'iSCSI',
            'total_capacity_gb': 10000,
            'free_capacity_gb': 10000,
            'provisioned_capacity_gb': 0,
            'reserved_percentage': 0,
            'multiattach': True,
            'QoS_support': False,
        }
