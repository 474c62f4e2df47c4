"""The management API: what is declared, read from the catalog in memory.

One pair of routes for every kind; what differs between kinds is in ``mqops.model.KINDS``. A caller sees what belongs to
the tenant it acts in, and nothing here tells what belongs to others from what does not exist.
"""
