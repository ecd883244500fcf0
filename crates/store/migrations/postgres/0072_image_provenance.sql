-- Which job pushed an image: for what is stated about where it comes from.
CREATE TABLE registry_push (
    project_id UUID NOT NULL,
    image TEXT NOT NULL,
    digest TEXT NOT NULL,
    job_id UUID NOT NULL,
    run_id UUID NOT NULL,
    pushed_at BIGINT NOT NULL,
    PRIMARY KEY (project_id, image, digest, job_id)
);
CREATE INDEX registry_push_run ON registry_push (run_id, image, digest);
