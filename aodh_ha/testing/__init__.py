"""Fakes for tests, ours and yours: a clock that is set by hand, and a cloud in memory.

``FakeCloud`` keeps the contract of ``recovery.cloud.Cloud``; one test suite runs against it and
against the real clients, so what is shown with the fake holds for Nova, Neutron, Cinder and Heat
as far as that suite goes.
Nothing here sleeps, opens a socket or reads the machine's clock.
"""

from aodh_ha.testing.clock import START, Clock
from aodh_ha.testing.cloud import FakeCloud
from aodh_ha.testing.nova import DONE, DROPPED, Taken

__all__ = ['DONE', 'DROPPED', 'START', 'Clock', 'FakeCloud', 'Taken']
