"""{{ project.name }}: a small HTTP service."""
