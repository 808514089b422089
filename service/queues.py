"""Names of queues and tasks: the only thing the API and the worker agree on by name."""

DISPATCH_QUEUE = "dispatch"
SWEEP_QUEUE = "sweep"
QUEUES = (DISPATCH_QUEUE, SWEEP_QUEUE)

ROUND_TASK = "dispatch.round"
SWEEP_TASK = "dispatch.sweep"
