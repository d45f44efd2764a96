"""Examples: small programs that use the parts of ceco3d."""
