"""Secrets in text that is kept as evidence: a guest's console prints more than it should."""

import re

MASK = '***'

_BEGIN = r'-----BEGIN [A-Z0-9 ]*(?:PRIVATE KEY|CERTIFICATE)[A-Z0-9 ]*-----'
_END = r'-----END [A-Z0-9 ]*-----'

# The rules' order counts: whole blocks first, then what stands after a telling word.
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # A block may be cut off at either end: the console shows its last lines only.
    (re.compile(rf'{_BEGIN}.*?(?:{_END}|\Z)', re.DOTALL), MASK),
    (re.compile(rf'\A(?:[A-Za-z0-9+/=\s]|[^\n]*\]\s)*?{_END}'), MASK),
    # cloud-init prints a private key between lines of its own, each with a prefix.
    (re.compile(r'(?m)^.*\b[A-Za-z0-9+/]{60,}={0,2}\s*$'), MASK),
    (re.compile(r'(?i)\b(authorization\s*[:=]\s*)(?:[a-z0-9-]+\s+)?\S.*'), rf'\1{MASK}'),
    (re.compile(r'(?i)\b(bearer\s+)[\w.~+/=-]{8,}'), rf'\1{MASK}'),
    (re.compile(r'(?i)([a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+@'), rf'\1{MASK}@'),
    (
        re.compile(
            r"""(?ix)
            (["']? [\w.-]* (?: passw(?:or)?d | passwd | passphrase | pwd | secret | token
              | credential s? | api [_-]? key | access [_-]? key | private [_-]? key
              | aodh_ha_key | signing [_-]? key | encryption [_-]? key ) [\w.-]* ["']?
              \s* (?: [:=]>? | \b is \b ) \s* )
            (?: "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | [^\s,;&]+ )
            """
        ),
        rf'\1{MASK}',
    ),
    # What tells itself: tokens of Keystone, GitHub, AWS, Slack, and JSON web tokens.
    (re.compile(r'\bgAAAA[\w-]{20,}={0,2}'), MASK),
    (re.compile(r'\b(?:gh[pousr]_|xox[abpr]-|AKIA|ASIA)[A-Za-z0-9-]{10,}'), MASK),
    (re.compile(r'\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*'), MASK),
    (re.compile(r'\$(?:1|2[aby]|5|6|7|y)\$[^\s:]{8,}'), MASK),
)


def masked(text: str) -> str:
    """The text without what looks like a password, key, token, certificate or password's hash.

    Too much is masked rather than too little: what a person needs of a console is what failed.
    """
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
