"""Plugins of Ceilometer: meters out by its central agent, signs of life in by its pipeline."""
