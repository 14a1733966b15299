"""Sections that many services share, and how they become text."""

from cloud.settings import PASSWORD, REGION, Settings

Section = dict[str, object]


def render(sections: dict[str, Section]) -> str:
    """Text of an ini file; a list becomes one line an item, as oslo.config's MultiOpt reads it."""
    lines = []
    for name, options in sections.items():
        lines.append(f'[{name}]')
        for key, value in options.items():
            values = value if isinstance(value, list) else [value]
            lines += [f'{key} = {_text(v)}' for v in values]
        lines.append('')
    return '\n'.join(lines)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def auth(s: Settings, user: str) -> Section:
    """keystoneauth options of a service user."""
    return {
        'auth_type': 'password',
        'auth_url': s.auth_url,
        'username': user,
        'password': PASSWORD,
        'project_name': 'service',
        'user_domain_name': 'Default',
        'project_domain_name': 'Default',
        'region_name': REGION,
    }


def authtoken(s: Settings, user: str) -> dict[str, Section]:
    return {
        'keystone_authtoken': {
            'www_authenticate_uri': s.auth_url,
            'service_token_roles': 'service',
            'service_token_roles_required': True,
            **auth(s, user),
        }
    }


def messaging() -> dict[str, Section]:
    return {
        'oslo_messaging_rabbit': {
            'rabbit_quorum_queue': False,
            'amqp_durable_queues': False,
            'heartbeat_in_pthread': False,
        },
        'oslo_messaging_notifications': {'driver': 'messagingv2', 'topics': 'notifications'},
    }


def locks(s: Settings, name: str = 'lock') -> dict[str, Section]:
    return {'oslo_concurrency': {'lock_path': s.data / name}}
