"""From graphs to loop nests: expand, fuse, schedule, plan memory."""
