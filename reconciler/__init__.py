"""The control plane: manifests in, PostgreSQL and Redis kept true to them. Synchronous throughout.

    source → load → validate → rules → desired ─┐
                                    observe ────┴→ diff → plan → apply → history

``load``, ``validate``, ``rules``, ``desired``, ``diff``, ``plan`` and ``render`` are pure: they import no driver, no
clock and no environment; what they need comes in as an argument. Only ``observe``, ``apply`` and ``store`` touch the
stores.
"""
