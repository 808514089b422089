"""The use cases and the ports they need. Pure: no I/O of its own, no clock."""
