"""A preprocessing job that kills its worker, in a small module that worker processes import quickly."""

import os
import signal

from ceco3d.preprocessing import pipeline

preprocess_scene = pipeline._preprocess_scene


def die_on_scene1(job, labels):
    """Imitate a scene whose worker is killed by the system, for example because it takes all memory."""
    if job.source.name == "scene0001_00":
        os.kill(os.getpid(), signal.SIGKILL)
    return preprocess_scene(job, labels)
