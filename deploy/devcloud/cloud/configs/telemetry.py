"""Gnocchi, Aodh and Ceilometer.

gnocchi_resources.yaml is Ceilometer's own with ours merged in, which needs a YAML parser:
`bootstrap/telemetry.py` writes it.
"""

from cloud.configs.ini import auth, authtoken, messaging, render
from cloud.plugins import has_entry_point
from cloud.settings import REPO, Settings

METERS = (
    *('guest.heartbeat', 'guest.heartbeat.missed', 'guest.service.failures', 'guest.watch'),
    'guest.metric',
)
"""The pollsters of aodh-ha, named after the meters that it publishes for a guest; the last one
has a meter for each metric that a guest reports."""

NOTIFIED = 'guest.heartbeat.notified'
"""Meter of a heartbeat that came as a notification, as deploy/ceilometer/meters.d maps it.

It must not share the name of the polled meter: the pipeline chooses sinks by meter name, and
what aodh-ha itself publishes about a guest would come back to it as a sign of that guest's life.
"""


def files(s: Settings) -> dict[str, str]:
    return {
        'gnocchi/gnocchi.conf': render(_gnocchi(s)),
        'aodh/aodh.conf': render(_aodh(s)),
        'ceilometer/ceilometer.conf': render(_ceilometer(s)),
        'ceilometer/polling.yaml': _polling(s),
        'ceilometer/pipeline.yaml': _pipeline(s),
        'ceilometer/event_pipeline.yaml': _event_pipeline(s),
    }


def _gnocchi(s: Settings) -> dict:
    storage = {'driver': 'file', 'file_basepath': s.data / 'gnocchi'}
    return {
        'DEFAULT': {'coordination_url': f'file://{s.data}/gnocchi-coord'},
        'api': {'auth_mode': 'keystone'},
        'indexer': {'url': s.mariadb_url('gnocchi')},
        'storage': storage,
        'incoming': storage,
        'metricd': {
            'workers': 1,
            'metric_processing_delay': 1,  # 60 by default: the greatest source of delay
            'metric_reporting_delay': -1,
            'metric_cleanup_delay': 60,
        },
        **authtoken(s, 'gnocchi'),
    }


def _aodh(s: Settings) -> dict:
    return {
        'DEFAULT': {
            'event_alarm_cache_ttl': 2,  # 60 by default: a new event alarm would wait for it
            'transport_url': s.rabbit_url,
        },
        'database': {'connection': s.mariadb_url('aodh')},
        'api': {'gnocchi_external_project_owner': 'service'},
        'evaluator': {'evaluation_interval': s.eval, 'workers': 1},
        'listener': {'workers': 1},
        'notifier': {'workers': 1},
        'service_credentials': {**auth(s, 'aodh'), 'interface': 'public'},
        **authtoken(s, 'aodh'),
        **messaging(),
    }


def _ceilometer(s: Settings) -> dict:
    etc = s.etc / 'ceilometer'
    return {
        'DEFAULT': {
            'transport_url': s.rabbit_url,
            'pipeline_cfg_file': etc / 'pipeline.yaml',
            'event_pipeline_cfg_file': etc / 'event_pipeline.yaml',
        },
        'notification': {
            'messaging_urls': [s.rabbit_url],
            'workers': 1,
            'pipelines': ['meter', 'event'],
        },
        'polling': {'cfg_file': etc / 'polling.yaml'},
        'meter': {
            'meter_definitions_dirs': [
                REPO / 'deploy/ceilometer/meters.d',
                s.site / 'ceilometer/data/meters.d',
            ]
        },
        'service_credentials': {**auth(s, 'ceilometer'), 'interface': 'public'},
        'aodh_ha': {'connection': s.ha_database_url},
    }


def _polling(s: Settings) -> str:
    meters = ''.join(f'      - {m}\n' for m in METERS)
    return f"""sources:
  - name: aodh-ha
    interval: {s.interval}
    meters:
{meters}"""


def _pipeline(s: Settings) -> str:
    resources = s.etc / 'ceilometer/gnocchi_resources.yaml'
    text = f"""sources:
  - name: all
    meters: ["*", "!{NOTIFIED}"]
    sinks: [gnocchi]
sinks:
  - name: gnocchi
    publishers:
      - gnocchi://?filter_project=service&resources_definition_file={resources}
"""
    # A publisher that is not installed is an error in the agent's log at every start.
    if has_entry_point(s, 'ceilometer.sample.publisher', 'aodhha'):
        text = text.replace(
            'sinks:\n  - name: gnocchi',
            f"""  - name: signs-of-life
    meters: ["{NOTIFIED}", "guest.heartbeat"]
    sinks: [aodh-ha]
sinks:
  - name: aodh-ha
    publishers:
      - aodhha://?meter={NOTIFIED}
  - name: gnocchi""",
        )
    return text


def _event_pipeline(s: Settings) -> str:
    resources = s.etc / 'ceilometer/gnocchi_resources.yaml'
    return f"""sources:
  - name: all
    events: ["*"]
    sinks: [sink]
sinks:
  - name: sink
    publishers:
      - gnocchi://?resources_definition_file={resources}
      - notifier://?topic=alarm.all
"""
