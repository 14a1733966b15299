"""Which entry points the virtual environment has; read from files, nothing is imported."""

import configparser
import importlib.metadata

from cloud.settings import Settings


def has_entry_point(s: Settings, group: str, name: str) -> bool:
    found = importlib.metadata.distributions(path=[str(s.site)])
    try:
        return any(e.group == group and e.name == name for d in found for e in d.entry_points)
    except configparser.Error:
        return False
