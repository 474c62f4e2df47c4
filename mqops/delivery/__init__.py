"""Handing messages to handlers and settling them: the push worker.

    worker      a worker's life: beats, sweeps, follows the catalog, drains
    heartbeat   says that this worker is alive, and knows whether anyone can still believe so
    dispatch    decides what is fetched next: fair among tenants, never more than there are free slots
    ring        the fair order of what has work
    pipeline    one message: filter, handler
    settlement  what Redis is told of it: chosen in one place
    settling    telling it, for as long as it takes
    report      lines for the log, at a bounded rate

Configuration is not read here: the catalog and the settings are passed in.
"""
