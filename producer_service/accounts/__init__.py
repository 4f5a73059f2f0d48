"""What users do once they have registered: prove their address, sign in, set a new password. One use case a file."""
