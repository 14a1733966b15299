"""What the clients' libraries say of an error, made short; and what it means for an action."""

import re

from aodh_ha.exceptions import ActionRefused, AodhHAError, NotNow, OutcomeUnknown

LIMIT = 300
"""Characters; some libraries put a whole page of HTML into an error."""

_BUSY = re.compile(r'while it is in task_state|currently locked|already has an action')
"""How Nova (409), and Heat's engine (409, ActionInProgress) say that something else runs."""


def first_line(error: Exception | str) -> str:
    """The first line of an error's text; its class's name where it has none."""
    lines = str(error).splitlines() or ['' if isinstance(error, str) else type(error).__name__]
    return lines[0][:LIMIT]


def of_action(service: str, status: int, error: Exception | str) -> AodhHAError:
    """What an error with this HTTP status, 0 for none, means for an action.

    401 and 429 say nothing about the action, but that it was not made: our token, or a rate
    limit. As a refusal they would use up the ladder, down to its harshest step.
    """
    text = first_line(error)
    if status in (401, 429) or (status == 409 and _BUSY.search(text)):
        return NotNow(f'{service} answered {status}: {text}')
    if 400 <= status < 500:
        return ActionRefused(f'{service} answered {status}: {text}')
    return OutcomeUnknown(f'{service}: {text}')
