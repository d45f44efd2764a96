"""ceco3d: 3D semantic segmentation of ScanNet200 with sparse convolutions and the CeCo point-center loss."""

__version__ = "0.1.0"
