"""Operators' commands. They speak to our REST API, to Aodh about alarms, to Nova about servers."""
