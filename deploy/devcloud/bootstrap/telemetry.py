"""Write gnocchi_resources.yaml: Ceilometer's own file with aodh-ha's resource type merged in.

Gnocchi's publisher drops a meter that this file does not declare.
"""

import importlib.util
import os
import pathlib

import yaml

OURS = pathlib.Path(os.environ['DEVCLOUD_REPO'], 'deploy/ceilometer/gnocchi_resources_aodh_ha.yaml')
TARGET = pathlib.Path(os.environ['DEVCLOUD_STATE'], 'etc/ceilometer/gnocchi_resources.yaml')


def main():
    package = pathlib.Path(importlib.util.find_spec('ceilometer').origin).parent
    definitions = yaml.safe_load((package / 'publisher/data/gnocchi_resources.yaml').read_text())
    definitions['resources'] += yaml.safe_load(OURS.read_text())['resources']
    TARGET.write_text(yaml.safe_dump(definitions, sort_keys=False))


if __name__ == '__main__':
    main()
