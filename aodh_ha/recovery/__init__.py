"""The doing: one leased recovery, from evidence over decision to verified action."""
