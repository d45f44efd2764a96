"""Settings of the commands whose work a cluster can do: preprocess, predict and evaluate."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from ceco3d.cli.overrides import VALUE
from ceco3d.utils.cluster import Cluster, connected
from ceco3d.utils.errors import UserError
from ceco3d.utils.settings import Text, settings


def _value(given: Any) -> Any:
    """What was given on the command line, see ``beside_groups``."""
    return given[VALUE] if isinstance(given, dict) and given.keys() == {VALUE} else given


@settings
class ExecutorSettings:
    """Where jobs run: on this machine, or on the workers of the Dask cluster with this scheduler."""

    executor: Literal["local", "dask"] = "local"
    scheduler: Annotated[Text | None, BeforeValidator(_value)] = None

    def check_cluster(self, checkpoints: Sequence[Path], vote: str | None) -> None:
        """UserError for what workers cannot do: sum several networks, or vote over segments."""
        if self.executor != "local" and (len(checkpoints) > 1 or vote is not None):
            what = f"vote={vote}" if len(checkpoints) < 2 else f"{len(checkpoints)} checkpoints"
            raise UserError(f"executor={self.executor}: {what} work on this machine only; leave executor= out")

    def connected(self) -> AbstractContextManager[Cluster | None]:
        """See ``utils.cluster.connected``; None for executor=local. UserError if the keys do not fit together."""
        if self.executor == "local" and self.scheduler is not None:
            raise UserError(f"scheduler={self.scheduler}: only used with executor=dask; set both")
        if self.executor == "dask" and self.scheduler is None:
            raise UserError("executor=dask: set scheduler=tcp://HOST:8786, the address that `dask scheduler` prints")
        if self.executor == "dask" and os.environ.get("WORLD_SIZE", "1") != "1":
            raise UserError("executor=dask: start one process, without torchrun; the workers share the jobs")
        return connected(self.scheduler)
