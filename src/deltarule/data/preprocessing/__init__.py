"""Encodings, scaling and targets made from inputs."""
