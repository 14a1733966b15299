"""Version 1 of the HTTP interface, a module a resource."""
