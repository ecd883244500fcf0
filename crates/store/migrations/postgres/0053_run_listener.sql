-- Workflow files of default branches that follow the runs of a project (their own or another), so that a run whose end
-- nobody waits for costs one look.
CREATE TABLE run_listener (
    project_id UUID NOT NULL REFERENCES project (id),
    workflow TEXT NOT NULL,
    source_id UUID NOT NULL,
    kind TEXT NOT NULL,
    owner_id UUID,
    PRIMARY KEY (project_id, workflow, source_id, kind)
);
CREATE INDEX run_listener_source ON run_listener (source_id);
