"""Every table, figure and claim of the paper, measured with what is at hand."""
