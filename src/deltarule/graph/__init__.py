"""The expression graph: primitives, nodes, checked constructors, named functions, traversals and rewrites."""
