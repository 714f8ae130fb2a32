"""What an expression is: primitives, nodes, checked constructors, named functions, walks and rewrites."""
