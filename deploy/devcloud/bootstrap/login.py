"""How the bootstrap scripts reach the cloud. They run in devcloud's virtual environment."""

import os

from keystoneauth1 import loading, session

PASSWORD = os.environ['BOOTSTRAP_PASSWORD']
URLS = dict(p.split('=', 1) for p in os.environ['BOOTSTRAP_URLS'].split())
HOSTS = os.environ['BOOTSTRAP_HOSTS'].split()
IDENTITY = URLS['keystone'] + '/v3'


def admin():
    plugin = loading.get_plugin_loader('password').load_from_options(
        auth_url=IDENTITY,
        username='admin',
        password=PASSWORD,
        project_name='admin',
        user_domain_name='Default',
        project_domain_name='Default',
    )
    return session.Session(auth=plugin)
