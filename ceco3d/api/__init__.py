"""ceco3d from Python: ``ceco3d.load()`` and what it returns; ``ceco3d.train(...)`` and ``ceco3d.evaluate(...)``.

``model``   a network that labels scans of any kind
``scans``   arrays, tensors, meshes and files as scans
``result``  the labels of a scan
``calls``   commands that are called like functions
"""

from ceco3d.api.calls import callable_module, settings_from
from ceco3d.api.model import Model, load
from ceco3d.api.result import Result
from ceco3d.api.scans import as_scan

__all__ = ["Model", "Result", "as_scan", "callable_module", "load", "settings_from"]
