-- What is known of each test of a project, over all its runs. The results themselves stay with their runs.
CREATE TABLE test (
    id UUID PRIMARY KEY,
    project_id UUID NOT NULL,
    suite TEXT NOT NULL,
    class TEXT NOT NULL,
    name TEXT NOT NULL,
    file TEXT,
    runs BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    last_state TEXT NOT NULL,
    last_run_id UUID NOT NULL,
    last_at BIGINT NOT NULL,
    mean_ms BIGINT NOT NULL,
    recent_ms TEXT NOT NULL,
    recent_states TEXT NOT NULL,
    main_number BIGINT NOT NULL,
    failed_commit TEXT,
    failed_run_id UUID,
    failed_at BIGINT,
    failed_job TEXT,
    flaky_at BIGINT,
    flaky_commit TEXT,
    quarantine_by UUID,
    quarantine_reason TEXT,
    quarantine_at BIGINT,
    quarantine_until BIGINT
);
CREATE INDEX test_project ON test (project_id, name, id);
CREATE INDEX test_slow ON test (project_id, mean_ms, id);
CREATE INDEX test_failing ON test (project_id, name, id) WHERE failed_commit IS NOT NULL;
CREATE INDEX test_flaky ON test (project_id, name, id) WHERE flaky_at IS NOT NULL;
CREATE INDEX test_quarantined ON test (project_id, name, id) WHERE quarantine_until IS NOT NULL;
CREATE INDEX test_last ON test (last_at);

ALTER TABLE test_case ADD COLUMN test_id UUID;
ALTER TABLE test_case ADD COLUMN quarantined BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX test_case_history ON test_case (test_id, run_id, job_id, seq) WHERE test_id IS NOT NULL;
ALTER TABLE test_total ADD COLUMN quarantined BIGINT NOT NULL DEFAULT 0;

-- which part of a run has which files, so that all its parts agree
CREATE TABLE test_split (
    run_id UUID NOT NULL,
    key BYTEA NOT NULL,
    parts TEXT NOT NULL,
    PRIMARY KEY (run_id, key)
);
