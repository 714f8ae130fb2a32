"""Derivations beyond gradients of a loss: Jacobians, identities, optimiser steps."""
