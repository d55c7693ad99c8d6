"""Every error that a user of btg can meet, each with the exit code it ends in.

An error says what went wrong, where (table, column, code), what was expected against what was
found, and the next step. Exit codes are those of the command contract: 1 crash, 2 usage or
catalogue, 3 nothing usable or blocked by a gate.
"""


class BtgError(Exception):
    """Base of all expected errors; ``exit_code`` is what the command line ends with."""

    exit_code = 1


class UsageError(BtgError):
    """The command or a setting was used in a way that cannot be carried out."""

    exit_code = 2


class CatalogueError(BtgError):
    """The catalogue contradicts its schema or itself; names file and key."""

    exit_code = 2


class SourceError(BtgError):
    """A source could not deliver a table; the last accepted snapshot stays in use."""

    exit_code = 4

    def __init__(self, table: str, message: str) -> None:
        super().__init__(f"{table}: {message}")
        self.table = table


class SourceUnreachableError(SourceError):
    """No answer from the host (refused, no name, time-out, reset, 5xx after the retries)."""


class SourceAnswerError(SourceError):
    """The host answered, but not with the table in the shape of the service."""


class ContractError(SourceError):
    """A delivery breaks the contract of its table (gate 1): it is quarantined, not used."""

    def __init__(self, table: str, rule: str, message: str) -> None:
        super().__init__(table, message)
        self.rule = rule


class SnapshotError(BtgError):
    """A stored snapshot is missing, incomplete or not what its manifest says."""

    exit_code = 3


class MethodError(BtgError, ValueError):
    """The index cannot be computed as asked; names the indicator, region or setting."""

    exit_code = 2


class GateBlockedError(BtgError):
    """A gate blocked the build; the published file is unchanged."""

    exit_code = 3


class PublishError(BtgError):
    """The candidate could not be put in place; the published file is unchanged."""

    exit_code = 3


def is_interruption(error: BaseException) -> bool:
    """Return whether somebody broke off the work; inside a query DuckDB gives it another name."""
    return isinstance(error, KeyboardInterrupt) or (
        isinstance(error, RuntimeError) and str(error) == "Query interrupted"
    )
