"""The client of our REST API: JSON in and out, and errors that say what to do."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from keystoneauth1 import adapter, exceptions
from keystoneauth1.session import Session

from aodh_ha.exceptions import Ambiguous, AodhHAError, CloudAway, NotFound
from aodh_ha.osc.errors import reason
from aodh_ha.rules.heartbeat import is_uuid

SERVICE_TYPE = 'aodh-ha'
TIMEOUT = 60
"""Seconds for one request."""
PAGE = 1000
"""The most entries that the service gives at once."""

Object = dict[str, Any]


class APIError(AodhHAError):
    """aodh-ha refused the request"""

    def __init__(self, status: int, title: str, detail: str, request_id: str = '') -> None:
        super().__init__(f'{detail} ({request_id})' if request_id else detail)
        self.status = status
        self._title = title

    @property
    def title(self) -> str:
        """As the service put it."""
        return self._title


class Unreachable(CloudAway):
    """aodh-ha does not answer"""


class Client:
    """One aodh-ha endpoint, spoken to with the user's token.

    Raises APIError for what the service refuses and Unreachable when it does not answer.
    """

    def __init__(
        self,
        session: Session,
        region_name: str | None = None,
        interface: str = 'public',
        endpoint: str | None = None,
    ) -> None:
        self._adapter = adapter.Adapter(
            session,
            service_type=SERVICE_TYPE,
            region_name=region_name,
            interface=interface,
            endpoint_override=endpoint.rstrip('/') if endpoint else None,
        )
        self._where = f'region {region_name or "any"}, interface {interface}'

    # ---- guests

    def guests(self, *, all_projects: bool = False) -> Iterator[Object]:
        """Every guest of the project."""
        return self._pages('guests', all_projects=all_projects)

    def guest(self, server_id: str) -> Object:
        """``guest`` and its newest ``events``."""
        return self._request('GET', f'guests/{quote(server_id, safe="")}')

    def find_guest(self, name_or_id: str) -> Object:
        """The guest with this id, or of this name in the project; raises NotFound, Ambiguous."""
        if is_uuid(name_or_id.lower()):
            return dict(self.guest(name_or_id.lower())['guest'])
        named = [g for g in self.guests() if g['name'] == name_or_id]
        if not named:
            raise NotFound(f'no guest is called {name_or_id!r} in this project; see: guest list')
        return one(named, f'guests are called {name_or_id!r}', lambda g: f'{g["id"]} {g["status"]}')

    def enroll(self, server_id: str, **settings: Any) -> Object:
        """``guest`` and the ``credentials`` of its agent; settings that are None are left out."""
        given = {k: v for k, v in settings.items() if v is not None}
        # The answer has the guest's key: it must not get into a debug log.
        return self._request('POST', 'guests', {'server_id': server_id} | given, log=False)

    def credentials(self, server_id: str) -> Object:
        """What the guest's agent needs: ``gateways``, ``guest``, ``generation`` and ``key``."""
        path = f'guests/{quote(server_id, safe="")}/credentials'
        return dict(self._request('GET', path, log=False)['credentials'])

    def succeed_guest(self, server_id: str, successor: str) -> Object:
        """Let a guest's alarms and recoveries go on under another server's, which is enrolled."""
        path = f'guests/{quote(server_id, safe="")}/successor'
        return dict(self._request('POST', path, {'server_id': successor})['guest'])

    def rotate_key(self, server_id: str, overlap: float | None = None) -> Object:
        """``guest`` and its new ``credentials``; the old key is good for ``overlap`` s more."""
        body = {} if overlap is None else {'overlap': overlap}
        path = f'guests/{quote(server_id, safe="")}/rotate'
        return self._request('POST', path, body, log=False)

    def revoke_keys(self, server_id: str) -> Object:
        """``guest`` and its new ``credentials``; every other key has ended."""
        path = f'guests/{quote(server_id, safe="")}/revoke'
        return self._request('POST', path, {}, log=False)

    def refusals(self, *, all_projects: bool = False) -> list[Object]:
        """Heartbeats that were refused, counted by guest and reason; the newest first."""
        query = _query(all_projects=all_projects)
        return list(self._request('GET', f'refusals{query}')['refusals'])

    def forget_guest(self, server_id: str) -> None:
        """Forget a guest and our side of its alarms."""
        self._request('DELETE', f'guests/{quote(server_id, safe="")}')

    # ---- enrolment rules

    def enrolment_rules(self, *, all_projects: bool = False) -> list[Object]:
        """The rules that are for the project's servers, the operator's last."""
        query = _query(all_projects=all_projects)
        return list(self._request('GET', f'enrolment-rules{query}')['enrolment_rules'])

    def create_enrolment_rule(self, *, operator: bool = False, **values: Any) -> Object:
        """Have servers enrolled by themselves; what is None is left out."""
        given = {k: v for k, v in values.items() if v is not None}
        path = f'enrolment-rules{_scope(operator)}'
        return dict(self._request('POST', path, given)['enrolment_rule'])

    def delete_enrolment_rule(self, rule_id: str) -> None:
        """Delete a rule; guests that it has enrolled stay so."""
        self._request('DELETE', _one('enrolment-rules', rule_id))

    # ---- alarms

    def alarms(
        self, server_id: str | None = None, *, all_projects: bool = False
    ) -> Iterator[Object]:
        """Our alarms, of one guest if given."""
        return self._pages('alarms', guest=server_id, all_projects=all_projects)

    def alarm(self, alarm_id: str) -> Object:
        """One alarm of ours."""
        return dict(self._request('GET', f'alarms/{quote(alarm_id, safe="")}')['alarm'])

    def create_alarm(
        self, server_id: str, trigger: str, threshold: int | None, name: str | None = None
    ) -> Object:
        """``alarm`` (ours) and the ``definition`` to create in Aodh."""
        body: Object = {'server_id': server_id, 'trigger': trigger}
        if threshold is not None:
            body['threshold'] = threshold
        if name:
            body['name'] = name
        # The definition has the signed callback URLs.
        return self._request('POST', 'alarms', body, log=False)

    def link_alarm(self, alarm_id: str, aodh_alarm_id: str) -> Object:
        """Tell which Aodh alarm carries ours."""
        body = {'aodh_alarm_id': aodh_alarm_id}
        return dict(self._request('PUT', f'alarms/{quote(alarm_id, safe="")}', body)['alarm'])

    def change_alarm(self, alarm_id: str, threshold: int | None, name: str) -> Object:
        """``alarm`` with another threshold and name, and the ``definition`` for Aodh."""
        body: Object = (
            {'name': name} if threshold is None else {'threshold': threshold, 'name': name}
        )
        return self._request('PUT', f'alarms/{quote(alarm_id, safe="")}', body, log=False)

    def delete_alarm(self, alarm_id: str) -> None:
        """Delete our alarm; its callback URLs are void at once."""
        self._request('DELETE', f'alarms/{quote(alarm_id, safe="")}')

    def create_restarter(self, server_id: str, name: str) -> Object:
        """``alarm`` (ours), and the ``url`` that whichever alarms may call to recover a guest."""
        body = {'server_id': server_id, 'trigger': 'restarter', 'name': name}
        return self._request('POST', 'alarms', body, log=False)

    # ---- watches

    def watch(self, watch_id: str, *, all_projects: bool = False) -> Object:
        """What a CloudWatch alarm of a template looks at, and its number now."""
        return dict(self._request('GET', _one('watches', watch_id, all_projects))['watch'])

    def watches(self, *, all_projects: bool = False) -> Iterator[Object]:
        """Every watch of the project."""
        return self._pages('watches', all_projects=all_projects)

    def find_watch(self, name_or_id: str, *, all_projects: bool = False) -> Object:
        """The watch with this id, or of this name; raises NotFound, Ambiguous."""
        if is_uuid(name_or_id.lower()):
            return self.watch(name_or_id.lower(), all_projects=all_projects)
        named = [w for w in self.watches(all_projects=all_projects) if w['name'] == name_or_id]
        if not named:
            raise NotFound(f'no watch is called {name_or_id!r}; see: watch list')
        return one(
            named, f'watches are called {name_or_id!r}', lambda w: f'{w["id"]} {w["stack_name"]}'
        )

    def save_watch(self, watch_id: str | None, **values: Any) -> Object:
        """``watch``, new without an id, and the ``definition`` to create in Aodh."""
        if watch_id is None:
            return self._request('POST', 'watches', values, log=False)
        return self._request('PUT', _one('watches', watch_id), values, log=False)

    def link_watch(self, watch_id: str, aodh_alarm_id: str) -> Object:
        """Tell which Aodh alarm carries a watch."""
        body = {'aodh_alarm_id': aodh_alarm_id}
        return dict(self._request('PUT', _one('watches', watch_id), body)['watch'])

    def delete_watch(self, watch_id: str) -> None:
        """Delete a watch, and what came for it."""
        self._request('DELETE', _one('watches', watch_id))

    # ---- credentials

    def project_credentials(self, *, all_projects: bool = False) -> list[Object]:
        """What the project handed over: one or none; of all projects if asked for."""
        query = _query(all_projects=all_projects)
        return list(self._request('GET', f'credentials{query}')['credentials'])

    def credential(self, credential_id: str) -> Object:
        """One credential, without its secret."""
        return dict(self._request('GET', _one('credentials', credential_id))['credential'])

    def create_credential(self, *, replace: bool = False, **values: Any) -> Object:
        """Hand one over: ``type``, ``keystone_id``, of an application credential ``secret``."""
        path = f'credentials{_query(replace=replace)}'
        return dict(self._request('POST', path, values, log=False)['credential'])

    def delete_credential(self, credential_id: str) -> None:
        """Have it forgotten."""
        self._request('DELETE', _one('credentials', credential_id))

    # ---- recoveries

    def recoveries(
        self,
        server_id: str | None = None,
        *,
        active: bool = False,
        all_projects: bool = False,
        limit: int | None = None,
    ) -> Iterator[Object]:
        """The newest recoveries, PAGE of them unless told otherwise, newest first."""
        query = {'guest': server_id, 'active': active, 'all_projects': all_projects}
        page = str(min(limit, PAGE)) if limit else None
        return itertools.islice(self._pages('recoveries', **query, limit=page), limit or PAGE)

    def recovery(self, recovery_id: str, *, all_projects: bool = False) -> Object:
        """``recovery``, its ``attempts`` and its ``events``."""
        return self._request('GET', _one('recoveries', recovery_id, all_projects))

    def explain_recovery(self, recovery_id: str, *, all_projects: bool = False) -> Object:
        """``recovery``, and the ``explanation`` of where it stands and what comes next."""
        return self._request('GET', _one('recoveries', recovery_id, all_projects, 'explain'))

    def approve_recovery(
        self, recovery_id: str, step: int | None = None, *, all_projects: bool = False
    ) -> Object:
        """Approve the step that waits; ``step``, from 0, says which one is meant."""
        path = _one('recoveries', recovery_id, all_projects, 'approve')
        body = {} if step is None else {'step': step}
        return dict(self._request('POST', path, body)['recovery'])

    def cancel_recovery(
        self, recovery_id: str, reason: str = '', *, all_projects: bool = False
    ) -> Object:
        """End a recovery."""
        path = _one('recoveries', recovery_id, all_projects, 'cancel')
        return dict(self._request('POST', path, {'reason': reason})['recovery'])

    # ---- silences

    def silences(self, *, ended: bool = False, all_projects: bool = False) -> list[Object]:
        """Maintenance windows."""
        query = _query(ended=ended, all_projects=all_projects)
        return list(self._request('GET', f'silences{query}')['silences'])

    def create_silence(self, *, all_projects: bool = False, **window: Any) -> Object:
        """Plan a maintenance window; what is None is left out."""
        given = {k: v for k, v in window.items() if v is not None}
        path = f'silences{_query(all_projects=all_projects)}'
        return dict(self._request('POST', path, given)['silence'])

    def end_silence(self, silence_id: str, *, all_projects: bool = False) -> None:
        """End a maintenance window now."""
        self._request('DELETE', _one('silences', silence_id, all_projects))

    # ---- incidents

    def incidents(self, *, open_only: bool = False) -> list[Object]:
        """Dead hosts and storms, newest first."""
        query = _query(open=open_only)
        return list(self._request('GET', f'incidents{query}')['incidents'])

    def incident(self, incident_id: str) -> Object:
        """``incident`` and its ``recoveries``."""
        return self._request('GET', _one('incidents', incident_id))

    def close_incident(self, incident_id: str, reason: str = '') -> Object:
        """Close an incident: what it held back goes on."""
        path = _one('incidents', incident_id, False, 'close')
        return dict(self._request('POST', path, {'reason': reason})['incident'])

    # ---- policies

    def policies(self) -> list[Object]:
        """Every policy that the project may use."""
        return list(self._request('GET', 'policies')['policies'])

    def policy(self, name: str) -> Object:
        """One policy."""
        return dict(self._request('GET', f'policies/{quote(name, safe="")}')['policy'])

    def save_policy(self, name: str, document: str, *, operator: bool = False) -> Object:
        """Write the project's policy of this name, or the operator's, from YAML."""
        path = f'policies/{quote(name, safe="")}{_scope(operator)}'
        return dict(self._request('PUT', path, {'document': document})['policy'])

    def delete_policy(self, name: str, *, operator: bool = False) -> None:
        """Delete the project's policy, or the operator's."""
        self._request('DELETE', f'policies/{quote(name, safe="")}{_scope(operator)}')

    def replay_policy(
        self,
        document: str,
        since: float | None = None,
        server_id: str | None = None,
        *,
        all_projects: bool = False,
    ) -> Object:
        """What a policy would have done about the recoveries of the last ``since`` seconds."""
        body = {'document': document, 'since': since, 'guest': server_id}
        path = f'policies/replay{_query(all_projects=all_projects)}'
        return self._request('POST', path, {k: v for k, v in body.items() if v is not None})

    # ---- how

    def _pages(self, collection: str, **query: Any) -> Iterator[Object]:
        marker = None
        while True:
            page = self._request('GET', f'{collection}{_query(**query, marker=marker)}')
            yield from page[collection]
            marker = page.get('next')
            if not marker:
                return

    def _request(
        self, method: str, path: str, body: Object | None = None, *, log: bool = True
    ) -> Object:
        try:
            response = self._adapter.request(
                f'/v1/{path}', method, json=body, raise_exc=False, log=log, timeout=TIMEOUT
            )
        except exceptions.EndpointNotFound:
            raise Unreachable(
                f'the service catalog has no endpoint of type {SERVICE_TYPE} ({self._where}); '
                'let an administrator create it, or give --aodh-ha-endpoint'
            ) from None
        except exceptions.ConnectionError as e:
            address = self._adapter.get_endpoint()
            if not address or address.rstrip('/') not in str(e):
                raise  # it is Keystone that could not be reached
            raise Unreachable(
                f'nothing at {address} ({reason(e)}); check that `aodh-ha serve` runs there, and '
                'the address: openstack catalog show aodh-ha, or --aodh-ha-endpoint'
            ) from None
        return _read(response)


def one(found: list[Object], what: str, describe: Callable[[Object], str]) -> Object:
    """The only one found; raises Ambiguous that lists the candidates."""
    if len(found) > 1:
        candidates = ', '.join(sorted(describe(f) for f in found))
        raise Ambiguous(f'{len(found)} {what}; give the id instead: {candidates}')
    return found[0]


def _one(collection: str, id: str, all_projects: bool = False, verb: str = '') -> str:
    path = f'{collection}/{quote(id, safe="")}' + (f'/{verb}' if verb else '')
    return path + _query(all_projects=all_projects)


def _scope(operator: bool) -> str:
    return '?scope=operator' if operator else ''


def _query(**values: Any) -> str:
    given = [f'{k}={1 if v is True else quote(v, safe="")}' for k, v in values.items() if v]
    return f'?{"&".join(given)}' if given else ''


def _read(response: Any) -> Object:
    if response.status_code == 204:
        return {}
    try:
        data = response.json()
    except ValueError:
        data = None
    if response.status_code < 400 and isinstance(data, dict):
        return data
    try:
        error = data['errors'][0]
        title, detail = str(error['title']), str(error['detail'])
        raise APIError(response.status_code, title, detail, str(error.get('request_id') or ''))
    except (TypeError, KeyError, IndexError, AttributeError):
        text = ' '.join(response.text.split())[:200]
        raise APIError(
            response.status_code,
            f'HTTP {response.status_code} from {response.url.partition("?")[0]}',
            f'this is not how aodh-ha answers; check the address: {text!r}',
        ) from None
