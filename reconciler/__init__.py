"""The control plane: manifests in, PostgreSQL and Redis kept true to them. Synchronous throughout.

    source → load → validate → rules → desired ─┐
                                    observe ────┴→ diff → plan → apply → history

    manifests  what is declared: read, checked, completed
    planning   what is to be done about it: pure, values in and values out
    stores     PostgreSQL and Redis: observing, writing, locks, migrations, the installation's stamp
    apply      carries a plan out;  pipeline  the whole way;  upkeep, loop  again and again, while it watches
    reading    what pipeline begins with;  request  what it is asked and answers;  noting  what everybody is told of it

``manifests`` and ``planning`` import no driver, no clock and no environment: what they need comes in as an argument.
"""
