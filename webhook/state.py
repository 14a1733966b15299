"""What the views need that is not the request."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import current_app
from oslo_config import cfg

from aodh_ha.callbacks import CallbackURLs
from aodh_ha.db import Database
from webhook.intake import Intake
from webhook.lookup import Lookup
from webhook.pace import Pace
from webhook.refusals import Refusals


@dataclass(frozen=True)
class State:
    """One application's configuration and long-lived parts."""

    conf: cfg.ConfigOpts
    database: Database
    master_key: bytes
    urls: CallbackURLs
    intake: Intake
    refusals: Refusals
    clock: Callable[[], float]
    lookup: Lookup
    pace: Pace


def state() -> State:
    """The running application's state."""
    found: State = current_app.extensions['aodh_ha']
    return found
