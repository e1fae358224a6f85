"""What a person looks for in words. No window and no CLIP here: the network's process has it."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastsam_plugins.options import TextOptions
from fastsam_plugins.prompts import TextPrompt


@dataclass(frozen=True)
class Words:
    """Texts that are looked for, and how.

    Attributes
    ----------
    texts, negatives : list of str
        Instances that a negative fits better are not picked.
    options : TextOptions
    """

    texts: list[str]
    negatives: list[str] = field(default_factory=list)
    options: TextOptions = field(default_factory=TextOptions)

    @classmethod
    def read(cls, texts: str, negatives: str, options: TextOptions) -> Words:
        """From fields in which a semicolon divides several.

        Raises
        ------
        ValueError
            If there is no text.
        """
        if not texts.strip():
            raise ValueError("say what to look for, as in: a dog; a red car")
        prompt = TextPrompt.parse(texts, negatives)
        assert prompt is not None
        return cls(list(prompt.texts), list(prompt.negatives), options)
