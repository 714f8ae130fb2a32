"""Plain data to terminal tables, SVG, HTML pages and mathematics."""
