-- What clients of hosted actions bring: uploads in blocks, artifacts that are no zip, caches with a version.
ALTER TABLE artifact ADD COLUMN content_type TEXT;

ALTER TABLE cache_entry ADD COLUMN version TEXT NOT NULL DEFAULT '';
DROP INDEX cache_entry_key;
CREATE UNIQUE INDEX cache_entry_key ON cache_entry (project_id, scope, key, version);

CREATE TABLE upload (
    id UUID PRIMARY KEY,
    number BIGINT NOT NULL,
    project_id UUID NOT NULL,
    job_id UUID NOT NULL,
    epoch BIGINT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    content_type TEXT,
    keep_seconds BIGINT,
    digest TEXT,
    size BIGINT,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX upload_name ON upload (job_id, kind, name, version);
CREATE INDEX upload_age ON upload (created_at);
CREATE INDEX upload_digest ON upload (project_id, digest) WHERE digest IS NOT NULL;

CREATE TABLE upload_block (
    upload_id UUID NOT NULL,
    block TEXT NOT NULL,
    digest TEXT NOT NULL,
    size BIGINT NOT NULL,
    PRIMARY KEY (upload_id, block)
);
