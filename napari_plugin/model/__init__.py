"""The state of an image that is annotated: session, objects, edits, files. No window here."""
