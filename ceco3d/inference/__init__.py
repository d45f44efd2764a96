"""Labels from a trained network: for processed scenes, scan files and benchmark submissions.

``predictor``      a network that labels the points of one scene, with test-time augmentation
``fragments``      passes in which other points represent the voxels
``chunks``         scenes too large for one forward pass
``evaluation``     scores and neural-collapse measures on labeled scenes; ``joint``: on several data sets
``heads``          the outputs of one part of a joint training
``submission``     the zip file of ScanNet's benchmark
``scan_labeling``  labels of scan files; ``labeled_scan``: the files written for each
"""

from ceco3d.inference.chunks import predict_in_chunks, receptive_field
from ceco3d.inference.evaluation import Evaluation, evaluate_scenes, label_scenes
from ceco3d.inference.joint import JointEvaluation, evaluate_parts
from ceco3d.inference.labeled_scan import LabeledScan
from ceco3d.inference.predictor import Predictor, View, load_predictor, make_views
from ceco3d.inference.scan_labeling import LabelingOptions, label_scan, label_scans
from ceco3d.inference.submission import check_submission, export_submission, write_submission

__all__ = [
    "Evaluation",
    "JointEvaluation",
    "LabeledScan",
    "LabelingOptions",
    "Predictor",
    "View",
    "check_submission",
    "evaluate_parts",
    "evaluate_scenes",
    "export_submission",
    "label_scan",
    "label_scans",
    "label_scenes",
    "load_predictor",
    "make_views",
    "predict_in_chunks",
    "receptive_field",
    "write_submission",
]
