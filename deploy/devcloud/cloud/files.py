"""Make a state folder: its directories, configuration and small modules."""

import shutil

from cloud import configs, services
from cloud.settings import Settings

_DATA = (
    'tmp',
    'rabbitmq',
    'images',
    'glance-staging',
    'glance-tasks',
    'lock',
    'gnocchi-coord',
    'cinder',
    'cinder-coord',
    'volumes',
)

_PASTE = (
    'nova/api-paste.ini',
    'heat/api-paste.ini',
    'neutron/api-paste.ini',
    'cinder/api-paste.ini',
    'glance/glance-api-paste.ini',
)


def make_folders(s: Settings) -> None:
    hosts = [f'nova-{h}' for h in ('control', *s.hosts)]
    for folder in (s.etc, s.log, s.run, s.apps, s.done, *(s.data / n for n in (*_DATA, *hosts))):
        folder.mkdir(parents=True, exist_ok=True)


def write_files(s: Settings) -> None:
    for name, text in configs.all_files(s).items():
        path = s.etc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, text in services.wsgi_modules(s).items():
        (s.apps / name).write_text(text)
    for name in _PASTE:
        shutil.copy(s.venv / 'etc' / name, s.etc / name)
    # oslo_config_project in some api-paste.ini makes the middleware read the project's default
    # files again, whatever --config-file said; with our HOME these are ~/.gnocchi and so on.
    for name in ('gnocchi', 'aodh', 'heat'):
        link = s.data / f'.{name}'
        if not link.is_symlink():
            link.symlink_to(s.etc / name)
