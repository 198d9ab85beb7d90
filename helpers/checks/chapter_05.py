"""The exercises of chapter 5, *Sentiment of film reviews*."""
