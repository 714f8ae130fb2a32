"""What the command line is given: data, models, options of reading."""
