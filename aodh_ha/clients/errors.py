"""What the clients' libraries say of an error, made short."""

from aodh_ha.exceptions import first_line

__all__ = ['first_line']
