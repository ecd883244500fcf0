CREATE TABLE registry_manifest (
    project_id BLOB NOT NULL REFERENCES project (id),
    image TEXT NOT NULL,
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL,
    content BLOB NOT NULL,
    image_size BIGINT NOT NULL,
    subject TEXT,
    referrer TEXT,
    artifact_type TEXT,
    account_id BLOB,
    pushed_at BIGINT NOT NULL,
    PRIMARY KEY (project_id, image, digest)
);
CREATE INDEX registry_manifest_subject ON registry_manifest (project_id, image, subject, digest) WHERE subject IS NOT NULL;

CREATE TABLE registry_tag (
    project_id BLOB NOT NULL,
    image TEXT NOT NULL,
    tag TEXT NOT NULL,
    digest TEXT NOT NULL,
    account_id BLOB,
    pushed_at BIGINT NOT NULL,
    PRIMARY KEY (project_id, image, tag),
    FOREIGN KEY (project_id, image, digest) REFERENCES registry_manifest (project_id, image, digest)
);
CREATE INDEX registry_tag_digest ON registry_tag (project_id, image, digest);

-- what a manifest needs: blobs, and the manifests of an index
CREATE TABLE registry_link (
    project_id BLOB NOT NULL,
    image TEXT NOT NULL,
    digest TEXT NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (project_id, image, digest, target),
    FOREIGN KEY (project_id, image, digest) REFERENCES registry_manifest (project_id, image, digest)
);
CREATE INDEX registry_link_target ON registry_link (project_id, target);
