-- Which job pushed an image: for what is stated about where it comes from.
CREATE TABLE registry_push (
    project_id BLOB NOT NULL,
    image TEXT NOT NULL,
    digest TEXT NOT NULL,
    job_id BLOB NOT NULL,
    run_id BLOB NOT NULL,
    pushed_at BIGINT NOT NULL,
    PRIMARY KEY (project_id, image, digest, job_id)
);
CREATE INDEX registry_push_run ON registry_push (run_id, image, digest);
