"""Interfaces from before `grpc` had its present ones; kept for programs that still import them."""
