-- When runs start by the clock. `next_at` is null while a schedule is off, so the index holds what can become due and no more.
CREATE TABLE schedule (
    id UUID PRIMARY KEY,
    project_id UUID NOT NULL REFERENCES project (id),
    source TEXT NOT NULL,
    workflow TEXT,
    ref TEXT NOT NULL,
    cron TEXT NOT NULL,
    flavor TEXT NOT NULL,
    timezone TEXT NOT NULL,
    description TEXT NOT NULL,
    active BOOLEAN NOT NULL,
    paused BOOLEAN NOT NULL,
    reason TEXT,
    variables TEXT NOT NULL,
    inputs TEXT NOT NULL,
    missed TEXT NOT NULL,
    owner_id UUID,
    next_at BIGINT,
    last_at BIGINT,
    last_run UUID,
    created_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX schedule_due ON schedule (next_at, id) WHERE next_at IS NOT NULL;
CREATE INDEX schedule_project ON schedule (project_id, id);
CREATE UNIQUE INDEX schedule_file ON schedule (project_id, workflow, cron, timezone) WHERE source = 'file';

-- what set a run off besides its event: a schedule, another run
ALTER TABLE run ADD COLUMN cause TEXT;
