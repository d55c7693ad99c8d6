"""The weekly full refetch: every table anew, whatever its source says of changes.

Sources correct figures without a word, and without a new ``Modified``; only comparing the figures
themselves finds that. It is the nightly refresh with every table due: ``python
flows/full_refetch.py`` runs it once here.
"""

import sys

from refresh import RUN_LIMIT_S, exit_code, run  # first: it sets the environment of Prefect

# isort: split
from prefect import flow
from prefect.client.schemas.objects import State

from btg.workspace import Options, RunReport


@flow(name="btg-full-refetch", timeout_seconds=RUN_LIMIT_S)
def full_refetch() -> State[RunReport]:
    """Fetch every table again, compare, check, build and publish."""
    return run(Options(full=True))


if __name__ == "__main__":
    sys.exit(exit_code(full_refetch(return_state=True)))
