"""The network: weights and checkpoints in, boxes, coefficients and prototypes out."""
