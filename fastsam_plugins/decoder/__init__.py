"""From a prompt to a mask: proposals under it, and a small network that corrects one of them."""
