"""What is measured, recorded and shown while training runs."""
