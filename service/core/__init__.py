"""The use cases and the ports they need. They do no I/O and read no clock; both are arguments."""
