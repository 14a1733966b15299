"""Secrets in text that is kept as evidence: a guest's console prints more than it should."""

import re

MASK = '***'

LONGEST = 1000
"""Characters of one line that are kept: some patterns take time by the square of it."""

_BEGIN = re.compile(r'-----BEGIN [A-Z0-9 ]*(?:PRIVATE KEY|CERTIFICATE)[A-Z0-9 ]*-----')
_END = re.compile(r'-----END [A-Z0-9 ]*-----')
_BASE64 = re.compile(r'[A-Za-z0-9+/]{4,}={0,2}\s*$')

# Within one line; their order counts: what stands after a telling word goes first.
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r'(?i)\b(authorization\s*[:=]\s*)(?:[a-z0-9-]+\s+)?\S.*'), rf'\1{MASK}'),
    (re.compile(r'(?i)\b(bearer\s+)[\w.~+/=-]{8,}'), rf'\1{MASK}'),
    (re.compile(r'(?i)(?<![\w+.-])([a-z][\w+.-]*://[^\s:/@]*:)[^\s@/]+@'), rf'\1{MASK}@'),
    (
        re.compile(
            r"""(?ix)
            (?<![\w.-])
            (["']? [\w.-]* (?: passw(?:or)?d | passphrase | pwd | secret | token | credential s?
              | api [_-]? key | access [_-]? key | private [_-]? key | aodh_ha_key
              | signing [_-]? key | encryption [_-]? key ) [\w.-]* ["']?
              \s* (?: [:=]>? | \b is \b ) \s* )
            (?: "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | [^\s,;&]+ )
            """
        ),
        rf'\1{MASK}',
    ),
    # What tells itself: tokens of Keystone, GitHub, Slack, AWS, JSON web tokens, hashes of
    # passwords; and a long line of base64, which cloud-init makes of a key.
    (re.compile(r'\bgAAAA[\w-]{20,}={0,2}'), MASK),
    (re.compile(r'\b(?:gh[pousr]_|xox[abpr]-|AKIA|ASIA)[A-Za-z0-9-]{10,}'), MASK),
    (re.compile(r'\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*'), MASK),
    (re.compile(r'\$(?:1|2[aby]|5|6|7|y)\$[^\s:]{8,}'), MASK),
    (re.compile(r'(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{60,}={0,2}\s*$'), MASK),
)


def masked(text: str) -> str:
    """The text without what looks like a password, key, token, certificate or password's hash.

    Too much is masked rather than too little: what a person needs of a console is what failed.
    """
    kept: list[str] = []
    inside = False
    for line in text.splitlines():
        if inside:
            inside = not _END.search(line)
        elif begin := _BEGIN.search(line):
            kept.append(line[: begin.start()] + MASK)
            inside = not _END.search(line, begin.end())
        elif _END.search(line):
            # The block began before the text does.
            while kept and _BASE64.search(kept[-1]):
                kept.pop()
            kept.append(MASK)
        else:
            kept.append(_line(line))
    return '\n'.join(kept)


def _line(line: str) -> str:
    if len(line) > LONGEST:
        line = line[:LONGEST] + '…'
    for pattern, replacement in _RULES:
        line = pattern.sub(replacement, line)
    return line
