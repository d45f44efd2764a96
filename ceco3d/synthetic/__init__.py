"""rooms200: a seeded generator of furnished rooms in ScanNet's raw layout, with all 200 classes of ScanNet200.

``generate_rooms`` (generate.py) runs the pipeline; each step has a module of its own:

1. ``allocation``        decides which object classes go into which scene: ScanNet's long tail, no class missing;
   ``longtail``          the same for studies of imbalance: a given tail in training, a balanced validation
2. ``catalog``           describes every class: its shape, size, colors, where it stands and in which room types
3. ``shapes``            builds one object of a class as colored quads, from a few primitives
4. ``layout``            sizes a ``Room`` and places its objects without collisions
5. ``visibility``        samples the surfaces and keeps what a hand-held depth camera would see
6. ``scanner``           fuses the samples into one mesh and adds sensor noise, light and blur
7. ``oversegmentation``  splits the mesh into the segments that ScanNet's annotators work with
8. ``raw_categories``    picks the raw category name that an annotator gives to each object
9. ``scannet_files``     writes mesh, segments, objects and metadata as ScanNet's raw files

``style`` says what rooms look like and how they are scanned: ``plain``, ``coarse`` or, to label real scans, ``real``.

The same seed gives the same bytes, whatever the number of worker processes.
"""

from ceco3d.synthetic.generate import example_scan, generate_rooms, make_room
from ceco3d.synthetic.longtail import Imbalance, LongTail
from ceco3d.synthetic.raw_categories import write_label_table

__all__ = ["Imbalance", "LongTail", "example_scan", "generate_rooms", "make_room", "write_label_table"]
