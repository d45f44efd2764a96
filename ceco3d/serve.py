"""``python -m ceco3d.serve``: label scans in the browser (conf/serve.yaml)."""

from __future__ import annotations

from ceco3d.cli.start import start

if __name__ == "__main__":
    start("serve")  # answers --help and wrong keys before the imports below

from typing import Annotated

from pydantic import Field

from ceco3d.cli.app import command
from ceco3d.serving.jobs import Limits
from ceco3d.serving.labeler import Labeler
from ceco3d.utils.errors import UserError
from ceco3d.utils.settings import CommonSettings, Count, Positive, Text, settings


@settings
class ServeSettings(CommonSettings):
    """conf/serve.yaml."""

    host: Text = "127.0.0.1"
    port: Annotated[int, Field(strict=True, ge=0, le=65535)] = 8000
    checkpoint: Text = "pretrained"
    max_bytes: Count = 1_000_000_000
    max_points: Count = 20_000_000
    timeout: Positive = 600.0
    queue: Count = 8
    keep: Count = 20

    def limits(self) -> Limits:
        """As ``serving`` takes them."""
        return Limits(self.max_bytes, self.max_points, self.timeout, self.queue, self.keep)


@command("serve", ServeSettings)
def main(settings: ServeSettings) -> None:
    """Open the port, load the network in a process of its own, answer until Ctrl-C."""
    try:
        from ceco3d.serving.server import serve
    except ModuleNotFoundError as error:
        raise UserError(f"the server needs {error.name}: pip install 'ceco3d[serve]'") from error
    limits = settings.limits()
    labeler = Labeler(settings.checkpoint, settings.device, settings.precision, limits, settings.log_level)
    serve(settings.host, settings.port, labeler, limits)


if __name__ == "__main__":
    main()
