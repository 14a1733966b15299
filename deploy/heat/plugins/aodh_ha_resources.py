"""Heat loads resource types from files only: this one, where [DEFAULT] plugin_dirs looks."""

from aodh_ha.plugins.heat import constraint_mapping, resource_mapping

__all__ = ['constraint_mapping', 'resource_mapping']
