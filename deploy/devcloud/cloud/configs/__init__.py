"""The configuration files of every service, as text by their path below etc/."""

from cloud.configs import clients, compute, core, ha, heat, telemetry
from cloud.settings import Settings


def all_files(s: Settings) -> dict[str, str]:
    files: dict[str, str] = {}
    for part in (core, compute, heat, telemetry, ha, clients):
        files |= part.files(s)
    return files
