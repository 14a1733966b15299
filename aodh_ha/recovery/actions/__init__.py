"""The steps of the ladder, a file each; ``ACTIONS`` has them by the name a policy uses."""

from aodh_ha.recovery.actions import stack
from aodh_ha.recovery.actions.base import Action, Context, Observed
from aodh_ha.recovery.actions.evacuate import Evacuate
from aodh_ha.recovery.actions.hook import Hook
from aodh_ha.recovery.actions.migrate import Migrate
from aodh_ha.recovery.actions.notify import Notify
from aodh_ha.recovery.actions.reboot import Reboot
from aodh_ha.recovery.actions.rebuild import Rebuild
from aodh_ha.recovery.actions.service_restart import ServiceRestart
from aodh_ha.recovery.actions.start import Start

ACTIONS: dict[str, Action] = {
    'service.restart': ServiceRestart(),
    'server.reboot': Reboot(),
    'server.start': Start(),
    'server.rebuild': Rebuild(),
    'server.evacuate': Evacuate(),
    'server.migrate': Migrate(),
    'server.replace': stack.Replace(),
    'stack.heal': stack.Heal(),
    'stack.rebuild': stack.Rebuild(),
    'stack.recreate': stack.Recreate(),
    'notify': Notify(),
    'hook': Hook(),
}

__all__ = ['ACTIONS', 'Action', 'Context', 'Observed']
