"""Container registries' data plane: logins, manifests, blobs."""
