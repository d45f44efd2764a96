"""From a trained network to labels of mesh vertices, scores and submissions."""
