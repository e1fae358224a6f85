"""Masks: run arrays, COCO RLE, prototypes, cleaning and quality. Import the submodule you need."""
