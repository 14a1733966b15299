"""aodh-ha itself."""

import shlex

from cloud.configs.ini import auth, authtoken, render
from cloud.settings import HOME, Settings


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
        'cloudwatch': {
            'enabled': True,
            'host': '127.0.0.1',
            'port': s.port_of('cloudwatch'),
            'stack_domain': 'heat',
        },
        'publisher': {'driver': s.publisher, 'interval': s.interval},
        # Tests break a dozen guests at once, and none shall wait for a thread.
        'worker': {'reconcile_interval': 5, 'concurrency': 16},
        'guards': {'storm_minimum': s.storm},
        'hooks': {'names': 'fence,page'},
        'hook:fence': {'command': _hook(s, 'fence', s.state), 'timeout': 60},
        'hook:page': {
            'command': _hook(s, 'page', s.pages),
            'timeout': 10,
            'for_projects': True,
        },
        'notifications': {'hook': 'page'},
        'service_credentials': auth(s, 'aodh-ha'),
        **authtoken(s, 'aodh-ha'),
    }


def _hook(s: Settings, name: str, argument: object) -> str:
    words = (s.ha_bin / 'python', HOME / 'hooks' / f'{name}.py', argument)
    return ' '.join(shlex.quote(str(w)) for w in words)
