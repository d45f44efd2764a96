"""The exception that commands report as one line and exit code 2."""


class UserError(Exception):
    """Bad input or usage. The message is one line: what is wrong, where, and what to do."""


class DiskFullError(UserError):
    """The disk is full, which ends a command whatever else it could still do."""
