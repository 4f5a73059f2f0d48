"""Saying things at given times: once for each tick, however many processes keep the schedule."""
