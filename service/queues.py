"""Names of queues and tasks: the only thing the API and the worker agree on by name."""

DISPATCH_QUEUE = "dispatch"
SWEEP_QUEUE = "sweep"
QUEUES = (DISPATCH_QUEUE, SWEEP_QUEUE)

KEY_PREFIX = "{wildrydes}:"
"""Of all broker keys: the hash tag keeps them in one slot, as a Redis Cluster asks for."""

ROUND_TASK = "dispatch.round"
SWEEP_TASK = "dispatch.sweep"
