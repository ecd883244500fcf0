CREATE TABLE account (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    email TEXT,
    password_hash TEXT,
    admin BOOLEAN NOT NULL,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE UNIQUE INDEX account_email ON account (email);

CREATE TABLE session (
    id UUID PRIMARY KEY,
    account_id UUID NOT NULL REFERENCES account (id),
    hash BYTEA NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    agent TEXT NOT NULL
);
CREATE INDEX session_account ON session (account_id);
CREATE INDEX session_expiry ON session (expires_at);

CREATE TABLE sign_in_link (
    hash BYTEA PRIMARY KEY,
    account_id UUID NOT NULL REFERENCES account (id),
    expires_at BIGINT NOT NULL
);

CREATE TABLE access_token (
    id UUID PRIMARY KEY,
    account_id UUID NOT NULL REFERENCES account (id),
    name TEXT NOT NULL,
    hash BYTEA NOT NULL UNIQUE,
    permissions TEXT NOT NULL,
    projects TEXT,
    expires_at BIGINT,
    last_used_at BIGINT,
    created_at BIGINT NOT NULL
);
CREATE INDEX access_token_account ON access_token (account_id, id);

-- one name space for users, groups and projects, so that no two of them answer at one address
CREATE TABLE path_claim (
    path TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    id UUID NOT NULL
);

CREATE TABLE user_group (
    id UUID PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    parent_id UUID REFERENCES user_group (id),
    display_name TEXT NOT NULL,
    description TEXT NOT NULL,
    visibility TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX user_group_parent ON user_group (parent_id);

CREATE TABLE group_member (
    group_id UUID NOT NULL REFERENCES user_group (id),
    account_id UUID NOT NULL REFERENCES account (id),
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (group_id, account_id)
);
CREATE INDEX group_member_account ON group_member (account_id);

CREATE TABLE project (
    id UUID PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    owner_id UUID REFERENCES account (id),
    description TEXT NOT NULL,
    visibility TEXT NOT NULL,
    language TEXT,
    topics TEXT NOT NULL,
    default_branch TEXT NOT NULL,
    template TEXT,
    state TEXT NOT NULL,
    archived_at BIGINT,
    deleted_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    last_activity_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX project_namespace ON project (namespace, path);
CREATE INDEX project_created ON project (created_at, id);
CREATE INDEX project_activity ON project (last_activity_at, id);
CREATE INDEX project_visibility ON project (visibility, path);
CREATE INDEX project_owner ON project (owner_id);
CREATE INDEX project_deleted ON project (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE project_topic (
    topic TEXT NOT NULL,
    project_id UUID NOT NULL REFERENCES project (id),
    PRIMARY KEY (topic, project_id)
);
CREATE INDEX project_topic_project ON project_topic (project_id);

CREATE TABLE project_member (
    project_id UUID NOT NULL REFERENCES project (id),
    account_id UUID NOT NULL REFERENCES account (id),
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (project_id, account_id)
);
CREATE INDEX project_member_account ON project_member (account_id);

CREATE TABLE redirect (
    path TEXT PRIMARY KEY,
    project_id UUID NOT NULL REFERENCES project (id),
    created_at BIGINT NOT NULL
);
CREATE INDEX redirect_project ON redirect (project_id);

CREATE TABLE operation (
    id UUID PRIMARY KEY,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    project_id UUID NOT NULL,
    project_path TEXT NOT NULL,
    account_id UUID,
    request TEXT NOT NULL,
    steps TEXT NOT NULL,
    error TEXT,
    created_at BIGINT NOT NULL,
    finished_at BIGINT
);
CREATE INDEX operation_running ON operation (state) WHERE state = 'running';

CREATE TABLE idempotency (
    hash BYTEA PRIMARY KEY,
    fingerprint BYTEA NOT NULL,
    status BIGINT,
    headers TEXT,
    body BYTEA,
    created_at BIGINT NOT NULL
);
CREATE INDEX idempotency_age ON idempotency (created_at);

CREATE TABLE event (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    id UUID NOT NULL UNIQUE,
    time BIGINT NOT NULL,
    type TEXT NOT NULL,
    project_id UUID,
    account_id UUID,
    data TEXT NOT NULL
);
CREATE INDEX event_order ON event (xid, seq);
CREATE INDEX event_project ON event (project_id, xid, seq);

CREATE TABLE work (
    id UUID PRIMARY KEY,
    kind TEXT NOT NULL,
    dedup TEXT,
    lane TEXT,
    project_id UUID,
    event_id UUID,
    payload TEXT NOT NULL,
    state TEXT NOT NULL,
    run_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    max_attempts BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    lease_until BIGINT,
    leased_by TEXT,
    error TEXT,
    created_at BIGINT NOT NULL,
    finished_at BIGINT
);
CREATE UNIQUE INDEX work_dedup ON work (kind, dedup) WHERE dedup IS NOT NULL AND state = 'queued';
CREATE INDEX work_queue ON work (run_at) WHERE state = 'queued';
CREATE INDEX work_lease ON work (lease_until) WHERE state = 'leased';
CREATE INDEX work_lane ON work (lane, id) WHERE lane IS NOT NULL AND state IN ('queued', 'leased');
CREATE INDEX work_event ON work (event_id);
CREATE INDEX work_finished ON work (finished_at) WHERE finished_at IS NOT NULL;
