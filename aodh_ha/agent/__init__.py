"""The guest agent: heartbeats from inside a guest.

Standard library only, Python 3.6 syntax, and nothing of aodh_ha outside this
folder: it is copied into guests alone, as a folder or as one zipapp. That is
why types stand in quotes here, and why there are no dataclasses.
"""

from .version import VERSION as __version__

__all__ = ['__version__']
