"""What the clients' libraries say of an error, made short."""

LIMIT = 300
"""Characters; some libraries put a whole page of HTML into an error."""


def first_line(error: Exception) -> str:
    """The first line of an error's text; its class's name where it has none."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:LIMIT]
