"""The signed URLs that Aodh calls: who has one speaks for that alarm, and for nothing else."""

import time
from collections.abc import Callable
from typing import Any

from itsdangerous import BadData, SignatureExpired, TimestampSigner, URLSafeTimedSerializer

from aodh_ha import keys
from aodh_ha.exceptions import BadSignature, Gone
from aodh_ha.rules import alarm as rules
from aodh_ha.rules.alarm import Alarm
from aodh_ha.rules.guest import Guest

ALARM, TELEMETRY = 'alarm', 'telemetry'


class _Signer(TimestampSigner):
    """Itsdangerous' signer by our clock."""

    def __init__(self, *args: Any, clock: Callable[[], float], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._clock = clock

    def get_timestamp(self) -> int:
        return int(self._clock())


class CallbackURLs:
    """Signs and reads the tokens in the URLs that are given to Aodh.

    Aodh signs nothing, so the URL itself carries the identity. The kind is part of what is
    signed: a telemetry URL can never be used to start a recovery.
    """

    def __init__(
        self,
        master_key: bytes,
        public_url: str,
        lifetime: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._secret = keys.signing_secret(master_key)
        self._base = public_url.rstrip('/')
        self._lifetime = lifetime or None
        self._clock = clock

    def _serializer(self, kind: str) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(
            self._secret,
            salt=f'aodh-ha-{kind}',
            signer=_Signer,
            signer_kwargs={'clock': self._clock},
        )

    def url(self, kind: str, alarm_id: str) -> str:
        """The URL for an alarm's actions (``alarm`` or ``telemetry``)."""
        path = 'alarms' if kind == ALARM else 'telemetry'
        return f'{self._base}/v1/{path}/{self._serializer(kind).dumps(alarm_id)}'

    def read(self, kind: str, token: str) -> str:
        """The alarm's id; raises BadSignature for a forged token, Gone for an expired one."""
        try:
            max_age = int(self._lifetime) if self._lifetime else None
            alarm_id = self._serializer(kind).loads(token[:1024], max_age=max_age)
        except SignatureExpired:
            raise Gone('the callback URL has expired; create the alarm anew') from None
        except BadData:
            raise BadSignature(
                'the callback URL is not one that this service signed; use the URL that '
                '"aodh-ha alarm create" put into the Aodh alarm'
            ) from None
        return str(alarm_id)

    def definition(self, guest: Guest, alarm: Alarm) -> dict[str, Any]:
        """The Aodh alarm that carries one of ours, as aodhclient's ``alarm.create`` takes it."""
        urls = (self.url(ALARM, alarm.id), self.url(TELEMETRY, alarm.id))
        return rules.definition(guest, alarm.trigger, alarm.threshold, *urls)
