"""The exercises of chapter 6, *A language model*."""
