"""What a person sees and touches: the dock widget, layers, mouse and keys."""
