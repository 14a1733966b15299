"""AWS::IAM::AccessKey whose secret a shell leaves as it is."""

import json
import secrets
from typing import Any

from heat.engine.resources.aws.iam import user


class AccessKey(user.AccessKey):
    """A key for Heat's CloudFormation API and the CloudWatch bridge, of a user of the stack.

    Templates of 2014 write the secret into shell scripts as it is, and into files without
    quotes: it had letters and digits only. Heat makes one of any characters today, of which
    most break such a script; this one is as it was.
    """

    def handle_create(self) -> None:
        """See Resource."""
        super().handle_create()
        owner = self._get_user()
        secret = secrets.token_hex(24)
        blob = json.dumps({'access': self.resource_id, 'secret': secret})
        credentials = self._credentials()
        # By the two calls that Heat makes itself: who may do these may do no more.
        credentials.delete(self.data()['credential_id'])
        made = credentials.create(owner.resource_id, 'ec2', blob, self.stack.stack_user_project_id)
        self._secret = secret
        for resource in (self, owner):
            resource.data_set('credential_id', made.id, redact=True)
            resource.data_set('secret_key', secret, redact=True)

    def _credentials(self) -> Any:
        """Keystone's, as whoever owns the users of stacks."""
        keystone = self.keystone()
        return (
            keystone.domain_admin_client if keystone.stack_domain else keystone.client
        ).credentials


def resource_mapping() -> dict[str, Any]:
    """For the plugin; an environment gives it the name that templates have."""
    return {'OS::AodhHA::AccessKey': AccessKey}
