"""What is known before acting, taken anew for each action."""

from aodh_ha.exceptions import NotFound
from aodh_ha.recovery.cloud import Cloud
from aodh_ha.rules.evidence import Evidence
from aodh_ha.rules.guest import Guest


def take(cloud: Cloud, guest: Guest, listening_since: float | None, now: float) -> Evidence:
    """Heartbeats as the database knows them, and the server as Nova shows it.

    Raises CloudAway. A server that Nova does not know is evidence, not an error.
    """
    missed = 0 if listening_since is None else guest.missed(now, listening_since)
    try:
        server = cloud.server(guest.server_id)
        actions = cloud.instance_actions(guest.server_id)
    except NotFound:
        return Evidence(now, missed, guest.last_seen, None, None, listening_since)
    newest = actions[0].request_id if actions else None
    return Evidence(now, missed, guest.last_seen, server, newest, listening_since)
