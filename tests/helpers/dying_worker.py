"""A preprocessing task that kills its worker, in a module of its own that worker processes import quickly."""

import os
import signal

from ceco3d.preprocessing import prepare

prepare_scene = prepare._prepare_scene


def die_on_scene1(job, labels):
    """Stands for a scene that makes the system kill its worker, e.g. by taking all memory."""
    if job.source.name == "scene0001_00":
        os.kill(os.getpid(), signal.SIGKILL)
    return prepare_scene(job, labels)
