"""What holds for every test: a marker by folder, and time limits by marker."""

import os
import pathlib

import hypothesis
import pytest

# Everything that a test asks listens on this machine; what is installed comes from elsewhere.
for variable in ('no_proxy', 'NO_PROXY'):
    known = os.environ.get(variable, '')
    os.environ[variable] = ','.join(filter(None, (known, '127.0.0.1', 'localhost')))

TESTS = pathlib.Path(__file__).parent

# Seconds one test may take, where the default of pyproject.toml does not fit.
TIMEOUTS = {'unit': 20, 'acceptance': 900, 'benchmark': 900}
MARKERS = {
    'unit': 'unit',
    'functional': 'functional',
    'acceptance': 'acceptance',
    'benchmarks': 'benchmark',
    'browser': 'browser',
}

# Deadlines measure the machine, not the code: two busy cores make them fail at random.
hypothesis.settings.register_profile('aodh-ha', deadline=None, print_blob=True)
hypothesis.settings.load_profile('aodh-ha')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by its folder, so that `-m unit` means tests/unit and nothing else."""
    for item in items:
        if not item.path.is_relative_to(TESTS):
            continue
        marker = MARKERS.get(item.path.relative_to(TESTS).parts[0])
        if marker is None:
            continue
        item.add_marker(marker)
        if marker in TIMEOUTS and item.get_closest_marker('timeout') is None:
            item.add_marker(pytest.mark.timeout(TIMEOUTS[marker]))
