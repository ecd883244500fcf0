-- What jobs have deployed where, as far as their files name an environment; how it is stopped.
CREATE TABLE job_environment (
    id BLOB PRIMARY KEY,
    project_id BLOB NOT NULL REFERENCES project (id),
    name TEXT NOT NULL,
    tier TEXT NOT NULL,
    state TEXT NOT NULL,
    detail TEXT,
    url TEXT,
    ref TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    run_id BLOB NOT NULL,
    job_id BLOB NOT NULL,
    on_stop TEXT,
    stop_job_id BLOB,
    auto_stop_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (project_id, name)
);
CREATE INDEX job_environment_due ON job_environment (auto_stop_at) WHERE auto_stop_at IS NOT NULL AND state = 'available';
CREATE INDEX job_environment_stopping ON job_environment (id) WHERE state = 'stopping';
CREATE INDEX job_environment_ref ON job_environment (project_id, ref);

-- How the jobs of a resource group take their turns.
CREATE TABLE resource_group (
    project_id BLOB NOT NULL REFERENCES project (id),
    name TEXT NOT NULL,
    mode TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (project_id, name)
);
