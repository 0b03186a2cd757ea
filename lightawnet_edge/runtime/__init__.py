"""A bundle at work in a device application: numpy and one backend, never torch."""
