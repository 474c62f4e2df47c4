"""Lua scripts that prepare, close and remove streams and groups: one command a file."""
