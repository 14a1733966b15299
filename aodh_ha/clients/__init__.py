"""The clouds' APIs: the only place that imports their clients; values of rules/ come out."""
