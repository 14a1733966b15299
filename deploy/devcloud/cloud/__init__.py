"""devcloud's machinery. Only the standard library: it runs before anything is installed."""
