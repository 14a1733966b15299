"""For tests of crashes: a worker that kills itself, as kill -9 would, at a chosen boundary.

AODH_HA_DIE_AT names boundaries of the engine, separated by commas, each with ``:N`` for the N-th
time that this process passes it (1 where nothing is said). With AODH_HA_DIE_ONCE, a folder, each
boundary is died at once for each recovery: who dies leaves a file ``boundary@recovery`` there.
"""

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

BOUNDARIES = (
    *('before-intent', 'after-intent', 'after-send', 'after-answer', 'verifying'),
    'before-finish',
)


def boundary(environ: Mapping[str, str]) -> Callable[[str, str], object] | None:
    """What an engine is to call at its boundaries; None when nothing is asked for.

    Raises ValueError for a boundary that there is not.
    """
    wanted: dict[str, int] = {}
    for part in filter(None, environ.get('AODH_HA_DIE_AT', '').split(',')):
        name, _, times = part.strip().partition(':')
        if name not in BOUNDARIES:
            raise ValueError(f'AODH_HA_DIE_AT: {name}: must be one of {", ".join(BOUNDARIES)}')
        wanted[name] = int(times or 1)
    folder = environ.get('AODH_HA_DIE_ONCE', '')

    def at(name: str, recovery_id: str) -> None:
        if name not in wanted:
            return
        wanted[name] -= 1
        if folder:
            try:
                (Path(folder) / f'{name}@{recovery_id}').touch(exist_ok=False)
            except FileExistsError:
                return
        elif wanted[name]:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    return at if wanted else None
