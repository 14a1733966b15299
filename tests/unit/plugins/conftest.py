"""Guests in the database, as the publishers' tests have them."""

from tests.unit.publishers.conftest import enroll, listen

__all__ = ['enroll', 'listen']
