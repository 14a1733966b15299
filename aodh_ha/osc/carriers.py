"""An alarm of ours and the Aodh alarm that carries it: made together, and ended together."""

from typing import TYPE_CHECKING, Any, Protocol

from aodh_ha.exceptions import NotFound

if TYPE_CHECKING:
    from aodh_ha.clients.aodh import Aodh

Object = dict[str, Any]


class API(Protocol):
    """Our side; osc.client.Client is one."""

    def link_alarm(self, alarm_id: str, aodh_alarm_id: str) -> Object:
        """Tell which Aodh alarm carries ours."""

    def delete_alarm(self, alarm_id: str) -> None:
        """Delete ours."""


def find(aodh: 'Aodh', alarm: Object, name: str = '') -> Object | None:
    """The Aodh alarm that carries ours; else one of this name, where one is given.

    A name that nobody else uses finds what was created when the answer was lost.
    """
    if alarm['aodh_alarm_id']:
        try:
            return aodh.get(alarm['aodh_alarm_id'])
        except NotFound:
            pass  # somebody deleted it in Aodh
    return _named(aodh, name)


def carry(api: API, aodh: 'Aodh', alarm: Object, definition: Object) -> None:
    """Have an alarm of ours carried by one in Aodh as this definition says, whose name is its
    own; whatever was done before it broke off is used."""
    carrier = find(aodh, alarm, str(definition['name']))
    if carrier is None:
        carrier = aodh.create(definition)
    else:
        # Aodh itself says in which state it is.
        aodh.update(carrier['alarm_id'], {k: v for k, v in definition.items() if k != 'state'})
    if alarm['aodh_alarm_id'] != carrier['alarm_id']:
        api.link_alarm(alarm['id'], carrier['alarm_id'])


def delete(api: API, aodh: 'Aodh', alarm: Object, name: str = '') -> None:
    """Delete Aodh's alarm, where it is there, then ours: so none is left that calls nobody."""
    for carrier in {alarm['aodh_alarm_id'], (_named(aodh, name) or {}).get('alarm_id')} - {None}:
        try:
            aodh.delete(carrier)
        except NotFound:
            pass  # somebody deleted it in Aodh
    api.delete_alarm(alarm['id'])


def _named(aodh: 'Aodh', name: str) -> Object | None:
    return next((a for a in aodh.list() if a['name'] == name), None) if name else None
