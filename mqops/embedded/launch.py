"""The last step before a program: `python launch.py [--unprivileged] PARENT SIGNAL PROGRAM [ARGUMENT…]`.

Runs as a process of its own, gives itself what only a process can give itself, and becomes PROGRAM:

- SIGNAL is sent to it when the process PARENT dies, however it dies (Linux, prctl(2) PR_SET_PDEATHSIG).
- `--unprivileged`, for root: it becomes the user `nobody`, because PostgreSQL refuses to run as root. Of root's
  powers it keeps one, to pass through directories it has no permission for (CAP_DAC_OVERRIDE, as an ambient
  capability, capabilities(7)): so a checkout under a private home works and no directory's mode has to change.

Only the standard library, and nothing of mqops: it is started by its path, before any package is importable.
"""

import ctypes
import os
import pwd
import struct
import sys

CANNOT_LAUNCH = 125
"""Exit code when PROGRAM was not reached; the reason is on standard error."""

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_LINUX_CAPABILITY_VERSION_3 = 0x2008_0522
_CAP_DAC_OVERRIDE = 1


def main(arguments: list[str]) -> None:
    """Never returns: becomes the program, or exits with ``CANNOT_LAUNCH``."""
    unprivileged = arguments[0] == "--unprivileged"
    parent, death_signal, *command = arguments[unprivileged:]
    try:
        if unprivileged and os.geteuid() == 0:
            _become_nobody()
        if sys.platform == "linux":
            # After the change of user, which clears it; and before the look at the parent, which may be dead already.
            _prctl(_PR_SET_PDEATHSIG, int(death_signal))
            if os.getppid() != int(parent):
                sys.exit(CANNOT_LAUNCH)
        os.execv(command[0], command)  # noqa: S606 - a list of arguments, no shell
    except (OSError, KeyError) as error:
        print(f"cannot start {command[0]}: {error}", file=sys.stderr)
        sys.exit(CANNOT_LAUNCH)


def _become_nobody() -> None:
    nobody = pwd.getpwnam("nobody")
    # Without this securebit access(2), which goes by the real user, would deny what the capability allows.
    _prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP)
    _prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(nobody.pw_gid, nobody.pw_gid, nobody.pw_gid)
    os.setresuid(nobody.pw_uid, nobody.pw_uid, nobody.pw_uid)
    header = struct.pack("Ii", _LINUX_CAPABILITY_VERSION_3, 0)
    kept = 1 << _CAP_DAC_OVERRIDE
    # Effective, permitted and inheritable, of the lower 32 capabilities and then of the upper.
    _check(_libc().capset(header, struct.pack("6I", kept, kept, kept, 0, 0, 0)))
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, *values: int) -> None:
    padded = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    _check(_libc().prctl(option, *padded))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main(sys.argv[1:])
