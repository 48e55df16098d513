"""The trainer's configuration; each feature has its own section, where its defaults stand.

`[dataset]` and the embedder's text (`dataset.settings`); what search and shards make pages by
(`evaluation.settings`); `[trainer]` (`jobs.settings`), in it the recipe
(`learning.domain.recipe`) and the terms of admission (`evaluation.domain.verdict`).
"""

from services.trainer.jobs.settings import Settings

__all__ = ["Settings"]
