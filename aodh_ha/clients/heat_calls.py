"""One request to Heat, its errors in this project's words."""

from collections.abc import Callable
from typing import Any, TypeVar

from heatclient import exc as heat
from keystoneauth1 import exceptions as ksa

from aodh_ha.clients.errors import first_line, of_action
from aodh_ha.clients.rest import NotInCatalog
from aodh_ha.exceptions import (
    ActionRefused,
    AodhHAError,
    CloudAway,
    NotFound,
    NotNow,
    OutcomeUnknown,
)

T = TypeVar('T')

_UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)
"""What heatclient and we make of a page that is no JSON, as a proxy may send it."""


def read(call: Callable[[], T]) -> T:
    """Something to look at. Raises NotInCatalog, NotFound, CloudAway."""
    try:
        return call()
    except heat.HTTPNotFound as e:
        raise NotFound(f'Heat: {first_line(e)}') from None
    except ksa.EndpointNotFound:
        raise NotInCatalog('Heat is not in the catalog') from None
    except (heat.BaseException, ksa.ClientException) as e:
        raise CloudAway(f'Heat: {first_line(e)}') from None
    except _UNREADABLE as e:
        raise CloudAway(f'Heat answered with nothing that its client can read: {e!r}') from None


def before(call: Callable[[], T]) -> T:
    """Something to look at before an action: while it fails, nothing was done."""
    try:
        return call()
    except AodhHAError as e:
        if isinstance(e, NotFound):
            raise ActionRefused(e.detail) from None
        raise NotNow(e.detail) if isinstance(e, CloudAway) else e from None
    except (heat.BaseException, ksa.ClientException) as e:
        error = refusal(e)
        raise NotNow(error.detail) if isinstance(error, OutcomeUnknown) else error from None
    except _UNREADABLE as e:
        raise NotNow(f'Heat answered with nothing that its client can read: {e!r}') from None


def act(call: Callable[[], T]) -> T:
    """Something to do. Raises ActionRefused, NotNow, OutcomeUnknown."""
    try:
        return call()
    except (heat.BaseException, ksa.ClientException) as e:
        raise refusal(e) from None


def refusal(error: Exception) -> AodhHAError:
    """What an error of Heat or Keystone means for an action."""
    return of_action('Heat', _status(error), error)


def _status(error: Exception) -> int:
    code = getattr(error, 'code', 0) or getattr(error, 'http_status', 0)
    return int(code) if str(code).isdigit() else 0


def request_id(answer: Any) -> str | None:
    """Heat's, of an answer."""
    found = answer.headers.get('x-openstack-request-id')
    return str(found) if found else None
