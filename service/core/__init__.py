"""The use cases and the ports they need.

They do no I/O of their own and read no clock: ports, time and sleep are arguments.
"""
