"""Work in other processes: `job` has the protocol, `worker` is the process, `workers` starts and
ends it.
"""
