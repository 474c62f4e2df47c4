"""The servers and processes that `mqops up` starts, watches and stops: for a laptop, a trial, a test run.

    directory    where everything lives (`.mqops/`), what it may look like, and the lock that makes it one `up`'s own
    launch       the last step before a program: tied to its parent's life, and unprivileged where that is wanted
    process      one process of ours: start, stop, find again after a crash
    running      what `up` started, on disk, for the next start and for other commands
    valkey       the embedded Redis-protocol server
    postgres     the embedded PostgreSQL
    supervisor   keeps all of them running, and stops them in order
    port         who holds a TCP port
    development  the credential and the secrets that exist on embedded servers alone

Nothing here knows manifests, messages or tenants' meaning.
"""
