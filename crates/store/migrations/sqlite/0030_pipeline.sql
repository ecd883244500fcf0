-- pipeline runs, their jobs, and everything jobs leave behind
CREATE TABLE run (
    id BLOB PRIMARY KEY,
    project_id BLOB NOT NULL,
    number BIGINT NOT NULL,
    workflow TEXT NOT NULL,
    name TEXT NOT NULL,
    title TEXT NOT NULL,
    event TEXT NOT NULL,
    ref TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    state TEXT NOT NULL,
    conclusion TEXT,
    attempt BIGINT NOT NULL,
    detected BOOLEAN NOT NULL,
    account_id BLOB,
    plan TEXT NOT NULL,
    contexts TEXT NOT NULL,
    diagnostics TEXT NOT NULL,
    jobs_total BIGINT NOT NULL,
    jobs_done BIGINT NOT NULL,
    dedup TEXT,
    concurrency_group TEXT,
    blocked BOOLEAN NOT NULL,
    cancelled BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    version BIGINT NOT NULL
);
CREATE UNIQUE INDEX run_number ON run (project_id, number);
CREATE UNIQUE INDEX run_dedup ON run (project_id, dedup) WHERE dedup IS NOT NULL;
CREATE INDEX run_ref ON run (project_id, ref, number);
CREATE INDEX run_commit ON run (project_id, commit_id, number);
CREATE INDEX run_workflow ON run (project_id, workflow, number);
CREATE INDEX run_state ON run (project_id, state, number);
CREATE INDEX run_concurrency ON run (project_id, concurrency_group, number) WHERE concurrency_group IS NOT NULL AND state <> 'completed';

CREATE TABLE pipeline_job (
    id BLOB PRIMARY KEY,
    run_id BLOB NOT NULL REFERENCES run (id),
    project_id BLOB NOT NULL,
    key TEXT NOT NULL,
    position BIGINT NOT NULL,
    cell BIGINT,
    cells BIGINT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    conclusion TEXT,
    infra_failure TEXT,
    allowed_to_fail BOOLEAN NOT NULL,
    attempt BIGINT NOT NULL,
    superseded BOOLEAN NOT NULL,
    epoch BIGINT NOT NULL,
    labels TEXT NOT NULL,
    label_key TEXT NOT NULL,
    matrix TEXT,
    outputs TEXT NOT NULL,
    annotations TEXT NOT NULL,
    concurrency_group TEXT,
    timeout_seconds BIGINT NOT NULL,
    runner_id BLOB,
    lease_until BIGINT,
    cancel TEXT,
    cancel_at BIGINT,
    token_hash BLOB,
    log_length BIGINT NOT NULL,
    log_digest TEXT,
    queued_at BIGINT,
    started_at BIGINT,
    finished_at BIGINT,
    version BIGINT NOT NULL
);
CREATE INDEX pipeline_job_run ON pipeline_job (run_id, superseded, position, cell);
CREATE INDEX pipeline_job_queue ON pipeline_job (label_key, queued_at, id) WHERE state IN ('queued', 'unschedulable');
CREATE INDEX pipeline_job_lease ON pipeline_job (lease_until) WHERE state = 'running';
CREATE INDEX pipeline_job_runner ON pipeline_job (runner_id) WHERE state = 'running';
CREATE UNIQUE INDEX pipeline_job_token ON pipeline_job (token_hash) WHERE token_hash IS NOT NULL;
CREATE INDEX pipeline_job_concurrency ON pipeline_job (project_id, concurrency_group) WHERE concurrency_group IS NOT NULL AND state <> 'completed';

CREATE TABLE step (
    job_id BLOB NOT NULL REFERENCES pipeline_job (id),
    idx BIGINT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    conclusion TEXT,
    outcome TEXT,
    exit_code BIGINT,
    log_from BIGINT,
    log_to BIGINT,
    started_at BIGINT,
    finished_at BIGINT,
    PRIMARY KEY (job_id, idx)
);

-- segments of a log until it is sealed into a blob
CREATE TABLE job_log (
    job_id BLOB NOT NULL REFERENCES pipeline_job (id),
    start_at BIGINT NOT NULL,
    end_at BIGINT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (job_id, start_at)
);

CREATE TABLE artifact (
    id BLOB PRIMARY KEY,
    run_id BLOB NOT NULL REFERENCES run (id),
    job_id BLOB NOT NULL,
    project_id BLOB NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    size BIGINT NOT NULL,
    files BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX artifact_name ON artifact (run_id, name);
CREATE INDEX artifact_expiry ON artifact (expires_at);
CREATE INDEX artifact_digest ON artifact (project_id, digest);

CREATE TABLE cache_entry (
    id BLOB PRIMARY KEY,
    project_id BLOB NOT NULL,
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    size BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX cache_entry_key ON cache_entry (project_id, scope, key);
CREATE INDEX cache_entry_age ON cache_entry (project_id, used_at);
CREATE INDEX cache_entry_digest ON cache_entry (project_id, digest);

CREATE TABLE test_case (
    run_id BLOB NOT NULL REFERENCES run (id),
    job_id BLOB NOT NULL,
    seq BIGINT NOT NULL,
    suite TEXT NOT NULL,
    class TEXT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    duration_ms BIGINT NOT NULL,
    message TEXT,
    details TEXT,
    file TEXT,
    job TEXT NOT NULL,
    PRIMARY KEY (run_id, job_id, seq)
);
CREATE INDEX test_case_status ON test_case (run_id, status, job_id, seq);

CREATE TABLE test_total (
    run_id BLOB NOT NULL REFERENCES run (id),
    job_id BLOB NOT NULL,
    passed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    skipped BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    PRIMARY KEY (run_id, job_id)
);

CREATE TABLE coverage_file (
    run_id BLOB NOT NULL REFERENCES run (id),
    path TEXT NOT NULL,
    lines_valid BIGINT NOT NULL,
    lines_covered BIGINT NOT NULL,
    branches_valid BIGINT NOT NULL,
    branches_covered BIGINT NOT NULL,
    PRIMARY KEY (run_id, path)
);

CREATE TABLE step_summary (
    run_id BLOB NOT NULL REFERENCES run (id),
    job_id BLOB NOT NULL,
    seq BIGINT NOT NULL,
    job TEXT NOT NULL,
    step TEXT NOT NULL,
    markdown TEXT NOT NULL,
    PRIMARY KEY (run_id, job_id, seq)
);

-- the value is sealed with the instance's key; nonce first
CREATE TABLE secret (
    id BLOB PRIMARY KEY,
    project_id BLOB NOT NULL REFERENCES project (id),
    name TEXT NOT NULL,
    sealed BLOB NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX secret_name ON secret (project_id, name);

CREATE TABLE variable (
    id BLOB PRIMARY KEY,
    project_id BLOB NOT NULL REFERENCES project (id),
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX variable_name ON variable (project_id, name);

CREATE TABLE runner (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    labels TEXT NOT NULL,
    capacity BIGINT NOT NULL,
    version TEXT NOT NULL,
    os TEXT NOT NULL,
    arch TEXT NOT NULL,
    capabilities TEXT NOT NULL,
    token_hash BLOB NOT NULL UNIQUE,
    in_process BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL
);
CREATE INDEX runner_seen ON runner (last_seen_at);

CREATE TABLE runner_invitation (
    hash BLOB PRIMARY KEY,
    account_id BLOB,
    expires_at BIGINT NOT NULL
);
