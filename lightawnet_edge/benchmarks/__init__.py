"""Measuring bundles: latency, accuracy, reports."""
