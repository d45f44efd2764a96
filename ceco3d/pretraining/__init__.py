"""Pretraining without labels: pairs of views of one scene, and what is learnt from them."""
