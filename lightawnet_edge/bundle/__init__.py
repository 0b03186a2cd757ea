"""A bundle on disk: contract, manifest, digests."""
