"""Write gnocchi_resources.yaml: Ceilometer's own file with aodh-ha's resource type merged in.

Gnocchi's publisher drops a meter that this file does not declare.
"""

import os
import pathlib

import ceilometer.publisher.gnocchi
import yaml

OURS = pathlib.Path(os.environ['DEVCLOUD_REPO'], 'deploy/ceilometer/gnocchi_resources_aodh_ha.yaml')
TARGET = pathlib.Path(os.environ['DEVCLOUD_STATE'], 'etc/ceilometer/gnocchi_resources.yaml')


def main():
    package = pathlib.Path(ceilometer.publisher.gnocchi.__file__).parent
    definitions = yaml.safe_load((package / 'data/gnocchi_resources.yaml').read_text())
    definitions['resources'] += yaml.safe_load(OURS.read_text())['resources']
    TARGET.write_text(yaml.safe_dump(definitions, sort_keys=False))


if __name__ == '__main__':
    main()
