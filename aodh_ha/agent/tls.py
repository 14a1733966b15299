"""TLS with a verified certificate, at the least of memory that Python's ssl allows."""

import os

MYPY = False
if MYPY:
    import socket
    import ssl


class MoreTrusted(OSError):
    """Authorities were read that were not known before: another connection may be verified."""


class Trust:
    """The authorities that are asked, and where they come from.

    `all_read` is false while only the system's folder of them is known.
    """

    def __init__(self, context: 'ssl.SSLContext', stamp: 'int | None', all_read: bool) -> None:
        self.context = context
        self.stamp = stamp
        self.all_read = all_read


# To read all of a system's authorities takes 25 ms: for each heartbeat that is more than the
# rest of it. By file, with its time, so that a new one is taken without a restart.
_known = {}  # type: dict[tuple[str, bool], Trust]


def secured(sock: 'socket.socket', host: str, ca_file: str, verify: bool) -> 'socket.socket':
    """The connection, encrypted; raises OSError, or MoreTrusted if one should connect again.

    `ca_file` has the authorities, '' for those of the system. Without `verify` the
    certificate may be anybody's.
    """
    import ssl  # 6 MB, for guests that need it

    trust = _trust(ca_file, verify)
    try:
        return trust.context.wrap_socket(sock, server_hostname=host)
    except ssl.SSLError as e:
        if trust.all_read or e.reason != 'CERTIFICATE_VERIFY_FAILED':
            raise
        context = ssl.create_default_context()
        _known[ca_file, verify] = Trust(context, trust.stamp, True)
        raise MoreTrusted('the folder of authorities does not know this one') from e


def _trust(ca_file: str, verify: bool) -> Trust:
    import ssl

    paths = ssl.get_default_verify_paths()
    found = (ca_file or paths.cafile or paths.capath or '') if verify else ''
    try:
        stamp = os.stat(found).st_mtime_ns if found else None  # type: int | None
    except OSError:
        stamp = None
    known = _known.get((ca_file, verify))
    if known and known.stamp == stamp:
        return known
    all_read = True
    if not verify:
        # Asked for by the guest's own settings, for a check of a service in the guest itself.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca_file:
        context = ssl.create_default_context(cafile=ca_file)
    elif paths.capath:
        # In a folder OpenSSL finds the one authority that it needs by the hash of its name; all
        # of them, of the system's file, take a megabyte for good. Not every system has a folder
        # with such names, and it may lack what the file has: then the file is read.
        context = ssl.create_default_context(capath=paths.capath)
        all_read = False
    else:
        context = ssl.create_default_context()
    trust = _known[ca_file, verify] = Trust(context, stamp, all_read)
    return trust
