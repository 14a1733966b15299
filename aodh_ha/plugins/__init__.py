"""Plugins that run inside other OpenStack services; thin, and optional."""
