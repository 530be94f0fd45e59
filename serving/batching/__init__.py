"""Requests that wait are run as one batch."""
