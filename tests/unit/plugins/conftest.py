"""The database of the publishers' tests, and Ceilometer's configuration."""

from tests.unit.publishers.conftest import database, enroll, guest, listen

__all__ = ['database', 'enroll', 'guest', 'listen']
