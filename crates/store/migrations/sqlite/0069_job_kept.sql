-- failed jobs whose files a runner keeps, and the step that failed
CREATE TABLE job_kept (
    job_id BLOB PRIMARY KEY REFERENCES pipeline_job (id),
    runner_id BLOB NOT NULL,
    step BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX job_kept_runner ON job_kept (runner_id);

-- attempts that go on where an earlier one failed
CREATE TABLE job_resumed (
    job_id BLOB PRIMARY KEY REFERENCES pipeline_job (id),
    from_job_id BLOB NOT NULL,
    step BIGINT NOT NULL
);

-- the earlier attempt that ran the step
ALTER TABLE step ADD COLUMN taken_from BLOB;
