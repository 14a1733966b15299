"""High availability for OpenStack guests, by heartbeats, Aodh alarms and verified recovery."""

__version__ = '0.1.0'
