"""Lua scripts of the data plane: one command a file, its header naming KEYS, ARGV and what it returns."""

from mqops.lua import Script, load_script

PUBLISH: Script = load_script(__name__, "publish")
FETCH: Script = load_script(__name__, "fetch")
FIND: Script = load_script(__name__, "find")
ACK: Script = load_script(__name__, "ack")
RETRY: Script = load_script(__name__, "retry")
EXTEND: Script = load_script(__name__, "extend")
DEAD_LETTER: Script = load_script(__name__, "dead_letter")
PURGE: Script = load_script(__name__, "purge")
REDRIVE: Script = load_script(__name__, "redrive")
LETTERS: Script = load_script(__name__, "letters")
REMOVE_LETTERS: Script = load_script(__name__, "remove_letters")
SWEEP: Script = load_script(__name__, "sweep")
REAP: Script = load_script(__name__, "reap")
STALE: Script = load_script(__name__, "stale")
TRIM: Script = load_script(__name__, "trim")
BEAT: Script = load_script(__name__, "beat")
ELECT: Script = load_script(__name__, "elect")
