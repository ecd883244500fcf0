-- a push from before git may move a ref until what moved is on record
CREATE TABLE push (
    id BLOB PRIMARY KEY,
    project_id BLOB NOT NULL REFERENCES project (id),
    account_id BLOB,
    instance TEXT NOT NULL,
    refs TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    closed_at BIGINT
);
CREATE INDEX push_open ON push (lease_until) WHERE closed_at IS NULL;
CREATE INDEX push_project ON push (project_id, created_at);

-- refs as events told of them; the repository itself is where they are
CREATE TABLE git_ref (
    project_id BLOB NOT NULL REFERENCES project (id),
    name TEXT NOT NULL,
    oid TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (project_id, name)
);

CREATE TABLE commit_status (
    project_id BLOB NOT NULL REFERENCES project (id),
    oid TEXT NOT NULL,
    context TEXT NOT NULL,
    state TEXT NOT NULL,
    description TEXT NOT NULL,
    target_url TEXT,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (project_id, oid, context)
);
