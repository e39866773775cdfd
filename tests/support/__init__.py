"""What the test suite is made of besides tests: stand-ins to run against, and helpers."""
