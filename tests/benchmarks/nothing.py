"""The yardstick: a Flask view that takes the same request and does nothing with it."""

from flask import Flask, Response


def create() -> Flask:
    """For gunicorn, with the gateway's own settings."""
    app = Flask('nothing')
    app.add_url_rule(
        '/v1/heartbeats', view_func=lambda: Response(status=202), methods=['POST'], endpoint='x'
    )
    app.add_url_rule('/healthz', view_func=lambda: Response(status=200), endpoint='healthz')
    return app
