"""From a directory of manifests to what is desired, or to everything wrong with it.

    source → load → validate → authority → rules → desired;  check is all of it in one step

Only ``source`` reads the disk; nothing here knows a store, a clock or the environment.
"""
