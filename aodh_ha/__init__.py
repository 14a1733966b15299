"""High availability for OpenStack guests: heartbeats, missed-heartbeat alarms, escalating recovery."""

__version__ = '0.1.0'
