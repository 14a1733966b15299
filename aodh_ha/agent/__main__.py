"""Runs the agent from wherever its files lie: package, folder or zipapp."""

import os
import sys
import types

if __package__:
    from .main import main
else:
    # Started as `python3 aodh_ha/agent` or as a zipapp: Python has put this
    # folder itself on the path. Take it off, so that a module here can never
    # stand in for one of the standard library, and make it a package again.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [p for p in sys.path if os.path.abspath(p or os.curdir) != here]
    package = types.ModuleType('aodh_ha_agent')
    package.__path__ = [here]
    sys.modules['aodh_ha_agent'] = package
    from aodh_ha_agent.main import main  # type: ignore[import-not-found,no-redef]

sys.exit(main())
