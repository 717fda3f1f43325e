"""Recurrent attention: a state of fixed size, updated chunk by chunk."""
