"""Alerts: observations in, transitions out."""
