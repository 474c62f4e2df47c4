"""Numbered SQL migrations, applied in order by `mqops migrate`."""
