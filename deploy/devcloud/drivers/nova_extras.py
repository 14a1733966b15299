"""What devcloud's compute driver does besides a server's life: migrations, snapshots, figures.

Installed as nova/virt/devcloud_extras.py, beside the driver that has these as a part of it.
"""

import os
import sys
import tempfile
import time

from nova.compute import power_state, task_states
from nova.image import glance
from nova.objects import diagnostics as diagnostics_obj
from nova.virt import fake

sys.path.append(os.environ['DEVCLOUD_HOME'])
from guests import processes
from guests.machine import Machine


class Extras:
    """Needs the driver's `locks`, `instances`, `_known`, `_create`, `_boot`."""

    # Cold migration: power off here, a copy of the disk there, and one of both is removed

    def migrate_disk_and_power_off(
        self,
        context,
        instance,
        dest,
        flavor,
        network_info,
        block_device_info=None,
        timeout=0,
        retry_interval=0,
    ):
        self.power_off(instance, timeout, retry_interval)

    def finish_migration(
        self,
        context,
        migration,
        instance,
        disk_info,
        network_info,
        image_meta,
        resize_instance,
        allocations,
        block_device_info=None,
        power_on=True,
        share_info=None,
    ):
        with self.locks[instance.uuid]:
            self._arrive(migration, instance, block_device_info, power_on)

    def _arrive(self, migration, instance, block_device_info, power_on):
        self.resources.claim(
            vcpus=instance.flavor.vcpus,
            mem=instance.flavor.memory_mb,
            disk=instance.flavor.root_gb,
        )
        self.instances[instance.uuid] = fake.FakeInstance(
            instance.name, power_state.SHUTDOWN, instance.uuid
        )
        source = Machine(os.environ['DEVCLOUD_STATE'], migration.source_compute, instance.uuid)
        self._create(instance, block_device_info, source)
        if power_on:
            self._boot(instance, 'migrate')

    def finish_revert_migration(
        self,
        context,
        instance,
        network_info,
        migration,
        block_device_info=None,
        power_on=True,
        share_info=None,
    ):
        super().finish_revert_migration(
            context, instance, network_info, migration, block_device_info, power_on, share_info
        )
        if power_on:
            self.power_on(context, instance, network_info, block_device_info)

    # confirm_migration() of the fake driver destroys what is left on the source host.

    # Snapshots: an image is the archive of a root disk

    def snapshot(self, context, instance, image_id, update_task_state):
        machine = self._known(instance)
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        with tempfile.TemporaryFile() as file:
            machine.pack(file)
            file.seek(0)
            update_task_state(
                task_state=task_states.IMAGE_UPLOADING,
                expected_state=task_states.IMAGE_PENDING_UPLOAD,
            )
            metadata = {'disk_format': 'raw', 'container_format': 'bare'}
            glance.API().update(context, image_id, metadata, file)

    # Figures

    def get_instance_diagnostics(self, instance):
        """What is measured here: the power state and the processes' CPU time."""
        machine = self._known(instance)
        found = diagnostics_obj.Diagnostics(
            state=power_state.STATE_MAP[self.get_info(instance).state],
            driver='libvirt',  # the API's schema knows only Nova's own drivers
            hypervisor='devcloud',
            hypervisor_os='linux',
            uptime=int(time.time() - machine.record.get('booted_at', time.time())),
            config_drive=True,
        )
        found.add_cpu(id=0, time=int(processes.cpu_seconds(machine.folder) * 1e9))
        found.memory_details = diagnostics_obj.MemoryDiagnostics(
            maximum=instance.flavor.memory_mb, used=0
        )
        return found
