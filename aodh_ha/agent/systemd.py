"""Tells systemd that the agent is ready, that it is alive, and what it does (sd_notify(3))."""

import os
import socket


def notify(text: str) -> None:
    """Send a message such as READY=1; nothing happens where nobody asked for it."""
    address = os.environ.get('NOTIFY_SOCKET', '')
    if address[:1] not in ('/', '@'):
        return
    if address[0] == '@':
        address = '\0' + address[1:]  # of the abstract kind, which has no file
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.setblocking(False)  # a systemd that is busy holds up no guest
            s.sendto(text.encode('utf-8', 'replace'), address)
    except OSError:
        pass  # there is nobody else to tell


def watchdog() -> float:
    """Seconds within which systemd wants to hear WATCHDOG=1 each time; 0 for never."""
    if os.environ.get('WATCHDOG_PID', str(os.getpid())) != str(os.getpid()):
        return 0.0
    text = os.environ.get('WATCHDOG_USEC', '')
    return int(text) / 1e6 if text.isdigit() else 0.0
