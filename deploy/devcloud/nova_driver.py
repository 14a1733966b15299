"""Nova compute driver whose servers are real Linux process trees on this machine.

A subclass of Nova's fake driver: placement, networks and scheduling stay as they are
there, and what happens to a guest really happens, by guests/machine.py. Installed as
nova/virt/devcloud.py, because Nova loads drivers from nova.virt only.
"""

import collections
import functools
import os
import sys
import tarfile
import tempfile
import threading
import time

import nova.conf
from nova import context as nova_context
from nova import exception, objects
from nova.api.metadata import base as nova_metadata
from nova.compute import power_state, task_states
from nova.image import glance
from nova.virt import configdrive, driver, fake, hardware
from nova.virt import event as virtevent
from nova.virt.devcloud_extras import Extras
from oslo_log import log as logging

sys.path.append(os.environ['DEVCLOUD_HOME'])
from guests import machine as machines
from guests.machine import (
    DRIVE,
    FILE,
    PAUSED,
    RUNNING,
    SERVICE,
    SHUTDOWN,
    SUSPENDED,
    Machine,
)

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

GRACE = float(os.environ.get('DEVCLOUD_SHUTDOWN_TIMEOUT', '5'))
"""Seconds a guest has to shut down; Nova's own default of 60 s would make every test wait."""

SMALLEST_DISK = tarfile.RECORDSIZE
"""Bytes of the smallest image that has a root disk in it, as `snapshot` makes them; `tiny` has
none."""

METADATA_INTERVAL = 2.0
"""Seconds after which a changed server metadata is seen in the guest at the latest."""

STATES = {
    RUNNING: power_state.RUNNING,
    PAUSED: power_state.PAUSED,
    SUSPENDED: power_state.SUSPENDED,
    SHUTDOWN: power_state.SHUTDOWN,
}


def ordered(method):
    """What is done to a guest on Nova's order; meanwhile it cannot have ended by itself."""

    @functools.wraps(method)
    def run(self, context, instance, *args, **kwargs):
        with self.locks[instance.uuid]:
            return method(self, context, instance, *args, **kwargs)

    return run


class DevcloudDriver(Extras, fake.FakeDriverWithoutFakeNodes):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.locks = collections.defaultdict(threading.RLock)

    def _machine(self, instance):
        return Machine(os.environ['DEVCLOUD_STATE'], CONF.host, instance.uuid)

    def _known(self, instance):
        if instance.uuid not in self.instances:
            raise exception.InstanceNotFound(instance_id=instance.uuid)
        return self._machine(instance)

    # The host

    def init_host(self, host):
        """Find the guests again: those that ran on, and those that died with the host."""
        super().init_host(host)
        for machine in machines.machines(os.environ['DEVCLOUD_STATE'], CONF.host):
            record = machine.record
            if record.get('resume'):
                machine.kill()
                machine.boot('start')  # `devcloud down` had stopped it
            state = machine.power()
            machine.save(state=state)
            self.instances[machine.uuid] = fake.FakeInstance(
                record.get('instance_name', record.get('name')), STATES[state], machine.uuid
            )
        threading.Thread(target=self._look_after, daemon=True).start()

    def _look_after(self):
        """Hand changed metadata to the guests, and notice guests that ended by themselves.

        Nova tells drivers nothing of changed metadata: its metadata service reads the
        database, as this does. Config drives of real clouds keep the old metadata.
        """
        while True:
            time.sleep(METADATA_INTERVAL)
            try:
                found = objects.InstanceList.get_by_host(
                    nova_context.get_admin_context(), CONF.host, expected_attrs=['metadata']
                )
                for instance in found:
                    if instance.uuid in self.instances:
                        self._write_metadata(instance)
            except Exception:
                LOG.warning('cannot read the metadata of the servers', exc_info=True)
            for uuid in list(self.instances):
                # Between the two boots of a reboot it is off, too: then the lock is taken.
                if self.locks[uuid].acquire(blocking=False):
                    try:
                        self._notice_end(uuid)
                    finally:
                        self.locks[uuid].release()

    def _notice_end(self, uuid):
        machine = Machine(os.environ['DEVCLOUD_STATE'], CONF.host, uuid)
        if machine.record.get('state') == RUNNING and machine.power() == SHUTDOWN:
            LOG.info('guest %s ended by itself', uuid)
            self.emit_event(virtevent.LifecycleEvent(uuid, virtevent.EVENT_LIFECYCLE_STOPPED))

    def resume_state_on_host_boot(
        self, context, instance, network_info, share_info, block_device_info=None
    ):
        machine = self._known(instance)
        if machine.power() == SHUTDOWN:
            self._boot(instance, 'start')

    # Disks and metadata

    @staticmethod
    def _volumes(block_device_info):
        """Volume ids by device name, and the device that is the root disk."""

        def short(name):
            return (name or '').rpartition('/')[2]

        volumes = {}
        for mapping in driver.block_device_info_get_mapping(block_device_info):
            volumes[short(mapping['mount_device'])] = _volume_id(mapping['connection_info'])
        return volumes, short((block_device_info or {}).get('root_device_name'))

    def _write_metadata(self, instance):
        if self._machine(instance).record.get('datasource', FILE) != FILE:
            return
        metadata = {
            'uuid': instance.uuid,
            'name': instance.display_name,
            'hostname': instance.hostname,
            'project_id': instance.project_id,
            'availability_zone': instance.availability_zone,
            'launch_index': instance.launch_index,
            'meta': dict(instance.metadata or {}),
        }
        self._machine(instance).write_metadata(metadata)

    def _boot(self, instance, kind):
        self._write_metadata(instance)
        machine = self._machine(instance)
        machine.kill()  # nothing of an earlier boot may live on
        machine.boot(kind)
        self.instances[instance.uuid].state = power_state.RUNNING

    # A server's life

    @ordered
    def spawn(
        self,
        context,
        instance,
        image_meta,
        injected_files,
        admin_password,
        allocations,
        network_info=None,
        block_device_info=None,
        power_on=True,
        accel_info=None,
    ):
        super().spawn(
            context, instance, image_meta, injected_files, admin_password, allocations,
            network_info, block_device_info, power_on, accel_info,
        )  # fmt: skip
        machine = self._create(instance, block_device_info, None, network_info, injected_files)
        if image_meta and 'size' in image_meta and (image_meta.size or 0) >= SMALLEST_DISK:
            with tempfile.TemporaryFile() as file:
                glance.API().download(context, image_meta.id, data=file)
                file.seek(0)
                machine.unpack(file)
        if power_on:
            self._boot(instance, self._kind(instance, machine))

    def _create(
        self, instance, block_device_info, source=None, network_info=None, injected_files=None
    ):
        """The guest with its disks; the root disk is fresh, or a copy of another machine's."""
        machine = self._machine(instance)
        machine.kill()
        volumes, root_device = self._volumes(block_device_info)
        machine.create(instance.display_name, volumes, root_device, source and source.root)
        datasource = self._datasource(instance)
        machine.save(
            instance_name=instance.name, project_id=instance.project_id, datasource=datasource
        )
        self._write_metadata(instance)
        if datasource == DRIVE:
            # As libvirt's driver does: once, when the server is built; a rebuild is such a time.
            found = nova_metadata.InstanceMetadata(
                instance, content=injected_files or [], network_info=network_info
            )
            machine.write_config_drive(found.metadata_for_config_drive())
        return machine

    @staticmethod
    def _datasource(instance):
        if configdrive.required_by(instance):
            return DRIVE
        wanted = instance.system_metadata.get('image_devcloud_datasource')
        return SERVICE if wanted == 'service' else FILE

    @staticmethod
    def _kind(instance, machine):
        """Why a server is spawned: Nova's default rebuild and evacuation come this way, too."""
        if instance.task_state in (task_states.REBOOT_STARTED_HARD, task_states.REBOOTING_HARD):
            return 'hard'
        if instance.task_state == task_states.REBUILD_SPAWNING:
            last = machines.read_json(machine.memory).get('history', [{}])[-1].get('host')
            return 'rebuild' if last in (None, CONF.host) else 'evacuate'
        return 'spawn'

    @ordered
    def reboot(
        self,
        context,
        instance,
        network_info,
        reboot_type,
        block_device_info=None,
        bad_volumes_callback=None,
        accel_info=None,
        share_info=None,
    ):
        if instance.uuid not in self.instances:
            super().reboot(
                context, instance, network_info, reboot_type, block_device_info,
                bad_volumes_callback, accel_info, share_info,
            )  # fmt: skip
            return
        kind = reboot_type.lower()
        if kind == 'soft' and not self._machine(instance).shutdown(GRACE):
            # libvirt's driver would now reboot hard without being asked. Here a soft reboot
            # that fails must be seen to fail: the next rung of the ladder is to be shown.
            # Nova logs "Reboot failed but instance is running" and the server stays ACTIVE.
            raise exception.InstancePowerOffFailure(
                reason=f'the guest did not shut down within {GRACE:g} s'
            )
        self._boot(instance, kind)

    def power_off(self, instance, timeout=0, retry_interval=0):
        with self.locks[instance.uuid]:
            machine = self._known(instance)
            if machine.power() != SHUTDOWN and timeout:
                machine.shutdown(min(timeout, GRACE))
            machine.kill()
            machine.save(state=SHUTDOWN)
            super().power_off(instance, timeout, retry_interval)

    @ordered
    def power_on(
        self,
        context,
        instance,
        network_info,
        block_device_info=None,
        accel_info=None,
        share_info=None,
    ):
        self._known(instance)
        self._boot(instance, 'start')

    def pause(self, instance):
        self._known(instance).halt(PAUSED)

    def unpause(self, instance):
        self._known(instance).go_on()

    def suspend(self, context, instance):
        self._known(instance).halt(SUSPENDED)

    def resume(self, context, instance, network_info, block_device_info=None, share_info=None):
        machine = self._known(instance)
        if machine.alive():
            machine.go_on()
        else:
            self._boot(instance, 'start')  # it was suspended to a host that died

    @ordered
    def destroy(
        self,
        context,
        instance,
        network_info,
        block_device_info=None,
        destroy_disks=True,
        destroy_secrets=True,
    ):
        machine = self._machine(instance)
        machine.kill()
        super().destroy(
            context, instance, network_info, block_device_info, destroy_disks, destroy_secrets
        )
        if destroy_disks:
            # A rebuild comes this way as well, and an evacuated server lives on elsewhere.
            deleted = instance.task_state in (task_states.DELETING, task_states.SOFT_DELETING)
            machine.remove(forget=deleted)
        elif machine.record:
            machine.save(state=SHUTDOWN)

    def cleanup(
        self,
        context,
        instance,
        network_info,
        block_device_info=None,
        destroy_disks=True,
        migrate_data=None,
        destroy_vifs=True,
        destroy_secrets=True,
    ):
        super().cleanup(
            context, instance, network_info, block_device_info, destroy_disks, migrate_data,
            destroy_vifs, destroy_secrets,
        )  # fmt: skip
        if destroy_disks:
            self._machine(instance).remove()

    # Volumes

    def attach_volume(
        self,
        context,
        connection_info,
        instance,
        mountpoint,
        disk_bus=None,
        device_type=None,
        encryption=None,
    ):
        super().attach_volume(
            context, connection_info, instance, mountpoint, disk_bus, device_type, encryption
        )
        device = mountpoint.rpartition('/')[2]
        self._known(instance).attach(device, _volume_id(connection_info))

    def detach_volume(self, context, connection_info, instance, mountpoint, encryption=None):
        super().detach_volume(context, connection_info, instance, mountpoint, encryption)
        machine = self._machine(instance)
        device = mountpoint.rpartition('/')[2]
        # A rebuild detaches the root volume as well; its folder must not vanish under root/.
        if device != machine.record.get('root_device'):
            machine.detach(device)

    # What Nova asks

    def get_info(self, instance, use_cache=True):
        machine = self._known(instance)
        # A frozen or panicked guest is RUNNING: no hypervisor knows better.
        return hardware.InstanceInfo(state=STATES[machine.power()])

    def get_console_output(self, context, instance):
        return self._known(instance).console_tail()


def _volume_id(connection_info):
    return connection_info.get('serial') or connection_info['data']['volume_id']
