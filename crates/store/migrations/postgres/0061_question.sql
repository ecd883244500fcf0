-- What running jobs ask of people, and what these say.
CREATE TABLE job_question (
    id UUID PRIMARY KEY,
    job_id UUID NOT NULL,
    run_id UUID NOT NULL,
    question_key TEXT NOT NULL,
    question TEXT NOT NULL,
    answer TEXT,
    account_id UUID,
    created_at BIGINT NOT NULL,
    answered_at BIGINT,
    UNIQUE (job_id, question_key)
);
CREATE INDEX job_question_run ON job_question (run_id);

-- The last milestone that a run has passed.
CREATE TABLE run_milestone (
    run_id UUID PRIMARY KEY,
    project_id UUID NOT NULL,
    workflow TEXT NOT NULL,
    ref TEXT NOT NULL,
    number BIGINT NOT NULL,
    ordinal BIGINT NOT NULL
);
CREATE INDEX run_milestone_order ON run_milestone (project_id, workflow, ref, number);
