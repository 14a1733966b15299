"""Errors that say what was wrong, where, and what to do.

A class's docstring is its title: what an operator sees first. Nothing here knows HTTP.
"""


class AodhHAError(Exception):
    """aodh-ha could not do this"""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    @property
    def title(self) -> str:
        """One line: the first line of the class's docstring."""
        return (self.__doc__ or self.__class__.__name__).strip().splitlines()[0]


class ConfigurationError(AodhHAError):
    """The configuration is not usable"""


class InvalidRequest(AodhHAError):
    """The request is not valid"""


class NotFound(AodhHAError):
    """Not found"""


class Conflict(AodhHAError):
    """This is not possible in the present state"""


class Ambiguous(Conflict):
    """The name is not unique"""


class BadSignature(AodhHAError):
    """The signature is missing or wrong"""


class ClockSkew(AodhHAError):
    """The request's time is too far from the server's"""

    def __init__(self, detail: str, server_time: float) -> None:
        super().__init__(detail)
        self.server_time = server_time


class ReplayedSequence(AodhHAError):
    """The heartbeat's sequence was seen before"""

    def __init__(self, detail: str, last_sequence: int) -> None:
        super().__init__(detail)
        self.last_sequence = last_sequence


class InvalidPolicy(InvalidRequest):
    """The recovery policy is not valid"""


class Gone(AodhHAError):
    """This URL is void"""


class TooMany(AodhHAError):
    """This is more than one guest may send"""


class DatabaseAway(AodhHAError):
    """The database does not answer"""


class LeaseLost(AodhHAError):
    """Another worker holds this recovery now"""


class CloudAway(AodhHAError):
    """The cloud's API does not answer; nothing was changed by this call"""


class OutcomeUnknown(AodhHAError):
    """The cloud's API broke off; the action may or may not have been taken"""


class ActionRefused(AodhHAError):
    """The cloud's API refused the action"""


class CredentialRefused(ActionRefused):
    """The rights that the project handed over are refused"""


class NotNow(AodhHAError):
    """The cloud is busy with it; nothing was done, and it may be tried again later"""


def first_line(error: BaseException, limit: int = 300) -> str:
    """The first line of an error's text, at most ``limit`` characters: some libraries put a whole
    page of HTML into one. Its class's name where it has no text."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:limit]
