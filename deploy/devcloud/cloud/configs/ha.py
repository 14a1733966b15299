"""aodh-ha itself."""

from cloud.configs.ini import auth, authtoken, render
from cloud.settings import Settings


def files(s: Settings) -> dict[str, str]:
    return {'aodh-ha/aodh-ha.conf': render(_aodh_ha(s))}


def _aodh_ha(s: Settings) -> dict:
    return {
        'database': {'connection': s.ha_database_url},
        'secrets': {'master_key_file': s.data / 'aodh-ha-master.key'},
        'webhook': {
            'host': '127.0.0.1',
            'port': s.port_of('aodh-ha'),
            'public_url': s.url('aodh-ha'),
        },
        'publisher': {'driver': s.publisher, 'interval': s.interval},
        'service_credentials': auth(s, 'aodh-ha'),
        **authtoken(s, 'aodh-ha'),
    }
