"""The servers and processes that `mqops up` starts, watches and stops: for a laptop, a trial, a test run.

    directory    where everything lives (`.mqops/`), whose it is, and the lock that makes it one `mqops up`'s own
    launch       the last step before a program: tied to its parent's life, and unprivileged where that is wanted
    process      one process of ours: how to start it, stop it, find it again after a crash
    running      what `mqops up` started, on disk, for the next start and for other commands
    server       waiting for a server to answer, and saying why it does not
    valkey       the embedded Redis-protocol server
    postgres     the embedded PostgreSQL
    programs     the platform's own three processes
    supervisor   keeps all of them running, and stops them in order
    interrupts   how `mqops up` is told to stop
    logs         what the processes write, followed and kept short
    port         who holds a TCP port
    development  the credential and the secrets that exist on embedded servers alone

Nothing here knows manifests or messages, and nothing here decides what is applied.
"""
