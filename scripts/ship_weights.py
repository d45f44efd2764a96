#!/usr/bin/env python3
"""Write the network of a checkpoint as one safetensors file with its setup, in bfloat16.

    python scripts/ship_weights.py RUN/checkpoints/best.pt OUT.safetensors temperature=1.3 'trained_on=my 40 rooms'

Every command takes OUT.safetensors as a checkpoint. ``temperature`` (1) divides the logits before the softmax; find it
with ``python -m ceco3d.evaluate calibrate=true``. ``trained_on`` is what ``predict`` says of the weights. Without it
or ``temperature``, those of the checkpoint stay.

ceco3d/models/pretrained.safetensors, the weights that come with the package, is such a file.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ceco3d.cli.endings import fail
from ceco3d.models import load_trained
from ceco3d.models.pretrained import describe_setup, is_temperature, save_weights
from ceco3d.utils.errors import UserError

USAGE = "usage: python scripts/ship_weights.py CHECKPOINT OUT.safetensors [temperature=T] [trained_on=TEXT]"


def ship(checkpoint: Path, out: Path, given: dict[str, str]) -> dict[str, Any]:
    """Write the file, read it again, and return its setup; UserError if a value makes no sense."""
    if out.suffix != ".safetensors":
        raise UserError(f"{out}: the name must end in .safetensors")
    model, setup = load_trained(checkpoint)
    setup = {**setup, **{key: given[key] for key in ("trained_on",) if key in given}}
    if "temperature" in given:
        try:
            setup["temperature"] = float(given["temperature"])
        except ValueError:
            setup["temperature"] = None
        if not is_temperature(setup["temperature"]):
            raise UserError(f"temperature={given['temperature']}: must be a number within 0.01 and 100")
    save_weights(out, model.state_dict(), setup)
    return load_trained(out)[1]


def main(arguments: list[str]) -> None:
    """Write one file; print one line, with exit code 2 if that fails."""
    paths = [word for word in arguments if "=" not in word]
    given = dict(word.split("=", 1) for word in arguments if "=" in word)
    try:
        unknown = given.keys() - {"temperature", "trained_on"}
        if len(paths) != 2 or unknown:
            raise UserError(f"{min(unknown)}: no such key; {USAGE}" if unknown else USAGE)
        out = Path(paths[1])
        setup = ship(Path(paths[0]), out, given)
    except UserError as error:
        fail(error)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {describe_setup(setup)}")


if __name__ == "__main__":
    main(sys.argv[1:])
