CREATE TABLE environment (
    id UUID PRIMARY KEY,
    project_id UUID NOT NULL REFERENCES project (id),
    name TEXT NOT NULL,
    target TEXT NOT NULL,
    port BIGINT NOT NULL UNIQUE,
    config TEXT NOT NULL,
    secrets TEXT NOT NULL,
    health TEXT NOT NULL,
    container_port BIGINT,
    state TEXT NOT NULL,
    detail TEXT NOT NULL,
    release_id UUID,
    live TEXT,
    epoch BIGINT NOT NULL,
    leased_by TEXT,
    lease_until BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    UNIQUE (project_id, name)
);
CREATE INDEX environment_lease ON environment (lease_until);

CREATE TABLE release (
    id UUID PRIMARY KEY,
    project_id UUID NOT NULL REFERENCES project (id),
    environment_id UUID NOT NULL REFERENCES environment (id),
    number BIGINT NOT NULL,
    image TEXT NOT NULL,
    digest TEXT NOT NULL,
    commit_oid TEXT,
    config TEXT NOT NULL,
    secrets TEXT NOT NULL,
    account_id UUID,
    created_at BIGINT NOT NULL,
    UNIQUE (project_id, number)
);
CREATE INDEX release_environment ON release (environment_id, id);
CREATE INDEX release_digest ON release (project_id, digest);

CREATE TABLE deployment (
    id UUID PRIMARY KEY,
    project_id UUID NOT NULL REFERENCES project (id),
    environment_id UUID NOT NULL REFERENCES environment (id),
    release_id UUID NOT NULL REFERENCES release (id),
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    conclusion TEXT,
    steps TEXT NOT NULL,
    reason TEXT,
    account_id UUID,
    run_id UUID,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT
);
CREATE INDEX deployment_project ON deployment (project_id, id);
CREATE INDEX deployment_environment ON deployment (environment_id, id);
CREATE INDEX deployment_open ON deployment (environment_id, id) WHERE state <> 'completed';
