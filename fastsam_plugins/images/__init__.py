"""Any array -> the RGB image that the network sees, whole or window by window. No files here."""
