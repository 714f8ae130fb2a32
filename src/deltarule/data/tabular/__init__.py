"""Tables: files, cells, headers, schemas."""
