"""The agent's version, in a module of its own: see __main__.py."""

VERSION = '0.1.0'
