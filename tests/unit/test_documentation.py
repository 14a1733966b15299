"""What the documentation says can be typed: its configuration loads, its commands exist."""

import configparser
import pathlib
import re
import textwrap

import pytest

from aodh_ha import opts
from aodh_ha.agent import config as agent_config
from aodh_ha.agent.main import USAGE
from aodh_ha.db.commands import KINDS
from aodh_ha.rules import policy

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.rst'))]

# An indented or fenced block that begins with [database]; it ends where the indentation does.
CONFIGURATION = re.compile(r'^( *)\[database\]\n(?:(?:\1(?!```).*)?\n)*', re.MULTILINE)

# `aodh-ha a b` in a sentence or table, or at the start of an example's line.
COMMAND = re.compile(r'(?:``|`|^ +(?:[$#] )?)aodh-ha ([a-z]+(?: [a-z]+)?)', re.MULTILINE)


def commands() -> set[str]:
    """Every command of aodh-ha, as it is typed."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / 'setup.cfg')
    lines = setup['options.entry_points']['aodh_ha.cli'].split('\n')
    return {line.partition('=')[0].strip().replace('_', ' ') for line in lines if line.strip()}


@pytest.mark.parametrize('page', ['README.md', 'docs/install.rst'])
def test_the_configuration_loads_as_it_is_printed(page, tmp_path):
    block = CONFIGURATION.search((ROOT / page).read_text(encoding='utf-8'))
    text = textwrap.dedent(block.group())
    file = tmp_path / 'aodh-ha.conf'
    file.write_text(text)
    conf = opts.load(['--config-file', str(file)])
    assert conf.database.connection.startswith('mysql+pymysql://')
    assert conf.publisher.driver == 'gnocchi'
    known = {*opts.GROUPS, opts.SERVICE_GROUP, 'keystone_authtoken'}
    for section, names in _options(text).items():
        assert section in known
        if section in opts.GROUPS:
            assert names <= {option.dest for option in opts.GROUPS[section]}, section


def test_every_command_that_a_page_names_exists():
    known = commands() | {'help'}
    named = {
        (page.name, found)
        for page in PAGES
        for found in COMMAND.findall(page.read_text(encoding='utf-8'))
    }
    assert len(named) > 5
    unknown = {
        (page, found)
        for page, found in named
        if found.split()[0] not in known and not any(f'{k} '.startswith(f'{found} ') for k in known)
    }
    assert not unknown


def test_the_page_about_policies_has_every_key_and_action_and_an_example_that_holds():
    page = (ROOT / 'docs' / 'policies.rst').read_text(encoding='utf-8')
    named = set(re.findall(r'``([\w.]+)``', page))
    assert {*policy._KEYS, *policy._STEP_KEYS, *policy._BUDGET_KEYS, *policy.ACTIONS} <= named
    for action, about in policy.ACTIONS.items():
        assert f'* - ``{action}``\n     - ``{about.when}``' in page
    (example,) = re.findall(r'code-block:: yaml\n\n((?:   .*\n)+)', page)
    assert policy.parse(textwrap.dedent(example)).name == 'database'


def _options(text: str) -> dict[str, set[str]]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    return {section: set(parser[section]) for section in parser.sections()}


def test_the_page_about_the_agent_has_every_setting_and_an_example_that_loads(tmp_path):
    page = (ROOT / 'docs' / 'agent.rst').read_text(encoding='utf-8')
    (example,) = re.findall(r'code-block:: ini\n\n((?:(?:   .*)?\n)+?)(?=\S)', page)
    file = tmp_path / 'agent.conf'
    file.write_text(textwrap.dedent(example))
    services = {s.name: s for s in agent_config.load(str(file), {}).services}
    assert services['web'].restarter.command == ['systemctl', 'restart', 'web.service']
    assert services['database'].start_period == 120
    table = set(re.findall(r'``(\w+)``', page))
    assert set(agent_config.SERVICE_OPTIONS) <= table
    for option in agent_config.OPTIONS:
        assert f'``AODH_HA_{option.upper()}``' in page
        assert f'AODH_HA_{option.upper()}' in USAGE
    for kind in KINDS:
        assert f'* - ``{kind}``' in page
