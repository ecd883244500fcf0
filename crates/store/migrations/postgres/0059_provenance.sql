-- What the control plane states, signed, about what runs have made.
CREATE TABLE provenance (
    run_id UUID NOT NULL REFERENCES run (id),
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    project_id UUID NOT NULL,
    envelope TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (run_id, name, digest)
);
CREATE INDEX provenance_digest ON provenance (project_id, digest, created_at);
