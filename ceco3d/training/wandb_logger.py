"""Log a run to Weights & Biases."""

from __future__ import annotations

import inspect
import logging
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from ceco3d.training.reporting import POSITION, tag
from ceco3d.training.results import CLASS_COLUMNS, Results, png_pixels
from ceco3d.utils.atomic import write_json
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line, read_json

Mode = Literal["online", "offline", "disabled"]
FILE = "wandb.json"  # in the run folder: the id of the run at Weights & Biases

logger = logging.getLogger(__name__)


class WandbLogger:
    """Weights & Biases: online when logged in, else offline into ``run_dir/wandb`` (``wandb sync`` uploads later).

    name  of the run; None: the name of ``run_dir``
    mode  online | offline; None: the variable WANDB_MODE, else online when logged in

    A resumed run goes on under the id in ``run_dir/wandb.json``. Scalars are in groups (train/loss, val/miou) over
    ``step``; at the end come a table of classes and pictures. UserError when wandb is not installed, or if ``mode`` is
    online without a login.
    """

    def __init__(
        self,
        run_dir: Path,
        start: float,
        config: Mapping[str, Any] | None = None,
        project: str = "ceco3d",
        entity: str | None = None,
        name: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        notes: str | None = None,
        mode: Mode | None = None,
    ) -> None:
        try:
            import wandb
        except ImportError as error:
            raise UserError("logger=wandb needs wandb: pip install 'ceco3d[wandb]'") from error
        self._wandb, self._picked = wandb, _mode(wandb, mode, run_dir)
        options = {
            "project": project,
            "entity": entity,
            "name": name or run_dir.resolve().name,
            "group": group,
            "tags": list(tags),
            "notes": notes,
            "config": dict(config or {}),
            "allow_val_change": True,  # a resumed run may have more epochs
            "id": _run_id(run_dir),
            "resume": "allow",
            "dir": str(run_dir),
        }
        self._run = self._start(options)
        self._run.define_metric("step", hidden=True)
        for pattern in ("train/*", "val/*", "test/*", *POSITION):
            # Over the steps of the training: wandb's own count cannot go back to the checkpoint of a resumed run.
            self._run.define_metric(pattern, step_metric="step")

    def _start(self, options: dict[str, Any]) -> Any:
        try:
            return self._wandb.init(mode=self._picked, **options)
        except self._wandb.errors.AuthenticationError as error:
            raise UserError(f"logger=wandb: {one_line(error)}; run `wandb login`, or set WANDB_MODE=offline") from error
        except self._wandb.errors.Error as error:
            if self._picked == "offline":
                raise UserError(f"logger=wandb: {one_line(error)}") from error
            logger.warning(f"wandb cannot be reached ({one_line(error)}); logging offline, see `wandb sync`")
        self._wandb.teardown()  # its service still holds the id of the run
        return self._wandb.init(mode="offline", **options)

    def log(self, values: Mapping[str, float]) -> None:
        """One row of the run's history."""
        row = {name if name in ("step", *POSITION) else tag(name): value for name, value in values.items()}
        try:
            self._run.log(row)
        except Exception as error:  # its service died, which has many names
            raise OSError(one_line(error)) from error

    def finish(self, results: Results) -> None:
        """Add the final scores, the table of classes, and the pictures."""
        self._run.summary.update({tag(name): value for name, value in results.values.items()})
        media: dict[str, Any] = {
            "val/classes": self._wandb.Table(list(CLASS_COLUMNS), [list(c) for c in results.classes])
        }
        for caption, picture in results.pictures.items():
            media[f"val/{caption.partition(':')[0]}"] = self._wandb.Image(png_pixels(picture), caption=caption)
        self._run.log(media)

    def close(self) -> None:
        """Finish the run; one that ends with an error is marked as failed."""
        self._run.finish(exit_code=int(sys.exc_info()[0] is not None))


def _mode(wandb: Any, mode: Mode | None, run_dir: Path) -> Mode:
    """The mode of wandb; UserError if it is online and nobody is logged in."""
    wanted = mode or os.environ.get("WANDB_MODE") or None
    if wanted not in (None, "online"):
        return cast(Mode, wanted)
    if _logged_in(wandb):
        return "online"
    if wanted == "online":
        raise UserError("logger=wandb: not logged in; run `wandb login`, or pass logger.wandb.mode=offline")
    logger.info(f"wandb: not logged in, logging to {run_dir / 'wandb'}; upload it later with `wandb sync`")
    return "offline"


def _logged_in(wandb: Any) -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    if "prompt" in inspect.signature(wandb.login).parameters:
        return bool(wandb.login(prompt=False, verify=False))
    return bool(wandb.api.api_key)  # wandb before 0.31


def _run_id(run_dir: Path) -> str:
    """The id in ``run_dir/wandb.json``, which is made if there is none."""
    path = run_dir / FILE
    try:
        return str(read_json(path)["id"])
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning(f"{path} cannot be read ({one_line(error)}); the run gets a new id at Weights & Biases")
    found = secrets.token_hex(4)
    write_json(path, {"id": found})
    return found
