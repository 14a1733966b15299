"""After Heat replaced servers: their guests go on under the new ids, with keys of their own."""

from collections import Counter

from aodh_ha import keys
from aodh_ha.db import Database, enrolment, guests, succession
from aodh_ha.exceptions import NotFound
from aodh_ha.recovery.cloud import Cloud
from aodh_ha.rules.enrolment import credentials
from aodh_ha.rules.holdings import Member


class Succession:
    """Finds the servers that took the place of others, and moves what we know to them."""

    def __init__(
        self, database: Database, cloud: Cloud, master_key: bytes, gateways: list[str]
    ) -> None:
        self._database = database
        self._cloud = cloud
        self._master_key = master_key
        self._gateways = gateways

    def follow(self, member: Member, now: float) -> dict[str, str]:
        """Follow every server of the stack that has another id than when ``member`` was read.

        Returns new ids by old ones; empty while Heat is at work. The credentials reach the new
        server by its metadata before its guest is moved: cut short in between, the next call
        hands out others. Raises CloudAway, ActionRefused, OutcomeUnknown.
        """
        present = self._cloud.stack_member_again(member)
        if present is None or present.busy:
            return {}
        names = Counter(name for _, name in present.siblings)
        # Members of two groups in one tree may have the same name: which is whose is not known.
        by_name = {name: server_id for server_id, name in present.siblings if names[name] == 1}
        moved = {}
        for old_id, name in member.siblings:
            new_id = by_name.get(name)
            if new_id and new_id != old_id and self._move(old_id, new_id, now):
                moved[old_id] = new_id
        return moved

    def _move(self, old_id: str, new_id: str, now: float) -> bool:
        with self._database.read() as connection:
            try:
                guests.get(connection, old_id)
            except NotFound:
                return False  # nobody watches it, or it was moved already
            try:
                generation = guests.get(connection, new_id).generation
            except NotFound:
                generation = enrolment.new_generation()
        key = keys.guest_key(self._master_key, new_id, generation)
        self._cloud.set_metadata(new_id, credentials(self._gateways, key, generation))
        found = self._database.run(lambda c: succession.follow(c, old_id, new_id, generation, now))
        return found is not None
