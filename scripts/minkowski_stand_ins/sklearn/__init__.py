"""The part of scikit-learn that MinkowskiEngine's classification example uses."""
