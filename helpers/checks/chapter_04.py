"""The exercises of chapter 4, *The LSTM cell*."""
