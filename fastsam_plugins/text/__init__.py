"""Text prompts: instances and words compared by CLIP (section 3.2 of the paper)."""
