"""With whose rights the cloud is asked to act on a guest's server or stack."""

from dataclasses import dataclass, field

SERVICE = 'service'
APPLICATION_CREDENTIAL = 'application_credential'
TRUST = 'trust'
TOKEN = 'token'  # noqa: S105 - the name of a kind

HANDED_OVER = (APPLICATION_CREDENTIAL, TRUST)
"""What a project may hand over for good; a token comes with an alarm's callback."""

NO_CREATION = (
    'a stack cannot be created with {}: Heat needs a trust for that, and Keystone lets nobody make '
    'one with rights that were delegated'
)
"""Why ``stack.recreate`` is refused, before anything is deleted; with the name of the rights."""

PENDING, USABLE, REFUSED = 'pending', 'usable', 'refused'
"""What Keystone said of a credential when it was last asked; ``pending``: it was not yet."""

_NAMES = {
    APPLICATION_CREDENTIAL: "the project's application credential",
    TRUST: "the project's trust",
    TOKEN: "the token of the alarm's callback",
    SERVICE: "the service user's rights",
}


@dataclass(frozen=True)
class Rights:
    """Whose they are, and what proves it. Of one project, and good for nothing else."""

    kind: str
    project_id: str = ''
    reference: str = ''
    """The id of the application credential or trust in Keystone; of a token nothing."""
    secret: str = field(default='', repr=False)
    """Of the application credential; the token itself."""
    problem: str = ''
    """Why nothing may be done with them; empty: the cloud decides."""

    @property
    def name(self) -> str:
        """For people."""
        return f'{_NAMES[self.kind]} {self.reference}'.rstrip()


OURS = Rights(SERVICE)
"""The service user's own."""


@dataclass(frozen=True)
class Credential:
    """An application credential or trust that a project handed over. Times are seconds.

    The secret is not here: only what is sealed in the database has it.
    """

    id: str
    project_id: str
    kind: str
    """One of HANDED_OVER."""
    reference: str
    """Its id in Keystone."""
    author: str
    """The user who handed it over."""
    created_at: float
    status: str = PENDING
    status_reason: str = ''
    checked_at: float | None = None
    used_at: float | None = None
