"""What tests and benchmarks both need, so that neither imports the other."""
