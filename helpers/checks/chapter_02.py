"""Checks of chapter 2: how data flows through a recurrent net."""
