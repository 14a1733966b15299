"""User data as Heat makes them for heat-cfntools, with what it does not write any more."""

import email
from email.message import Message
from email.mime.text import MIMEText

REGION = 'heat'

BOOTHOOK = """#!/bin/sh
# Written by aodh-ha: a heartbeat a minute, by which it sees whether a recovery has helped.
cat > /etc/cron.d/aodh-ha-heartbeat << 'END'
* * * * * root test -r /etc/cfn/cfn-credentials && /opt/aws/bin/cfn-push-stats --heartbeat
END
exit 0
"""


def with_cloudwatch(user_data: str, address: str) -> str:
    """The user data, with the address of the CloudWatch bridge in the configuration of boto, and
    a heartbeat in cron; as they are, where they are not for heat-cfntools or without address."""
    message = email.message_from_string(user_data)
    if not address or not message.is_multipart():
        return user_data
    for part in _parts(message):
        if part.get_filename() == 'cfn-boto-cfg':
            text = str(part.get_payload()).rstrip('\n')
            lines = (
                f'cloudwatch_region_name = {REGION}',
                f'cloudwatch_region_endpoint = {address}',
            )
            part.set_payload('\n'.join((text, *lines)) + '\n')
            message.attach(_boothook())
            return message.as_string()
    return user_data


def _parts(message: Message) -> list[Message]:
    found = message.get_payload()
    return [p for p in found if isinstance(p, Message)] if isinstance(found, list) else []


def _boothook() -> Message:
    part = MIMEText(BOOTHOOK, 'cloud-boothook', 'us-ascii')
    part.add_header('Content-Disposition', 'attachment', filename='aodh-ha-heartbeat')
    return part
