"""The steps of the ladder, a file each; ``ACTIONS`` has them by the name a policy uses."""

from aodh_ha.recovery.actions.base import Action
from aodh_ha.recovery.actions.reboot import Reboot
from aodh_ha.recovery.actions.rebuild import Rebuild

ACTIONS: dict[str, Action] = {'server.reboot': Reboot(), 'server.rebuild': Rebuild()}

__all__ = ['ACTIONS', 'Action']
