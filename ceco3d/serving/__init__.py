"""Label scans in the browser: a server on one port, and one process that labels.

``jobs``     the scans that were sent, their states and their files
``labeler``  the process with the network, which labels one scan after the other
``upload``   the body of a request, from the network to the disk
``linger``   answers to clients that still send
``guard``    which requests are answered at all
``page``     the page for the browser
``app``      the addresses; needs the extra ``serve``, as do the two below
``server``   the port, the threads, the end
"""

from ceco3d.serving.jobs import Job, Jobs, Limits, QueueFullError
from ceco3d.serving.labeler import Labeler

__all__ = ["Job", "Jobs", "Labeler", "Limits", "QueueFullError"]
