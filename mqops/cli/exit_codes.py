"""What commands end with, the same for all of them. 0 is: done, or nothing to do."""

ERROR = 1
"""It did not work, in whole or in part."""
PENDING = 2
"""There is something to change; only when ``--detailed-exitcode`` asks for it. Of ``drift``: there is some."""
REFUSED = 3
"""A guard, a policy or staleness is in the way of something; nobody should simply try again."""
