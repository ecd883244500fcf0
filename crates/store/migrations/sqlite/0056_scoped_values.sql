-- Secrets and variables of projects, groups and environments, in one shape. `secret` and `variable` are read no more;
-- the release after this one drops them.
CREATE TABLE scoped_secret (
    scope_id BLOB NOT NULL,
    name TEXT NOT NULL,
    sealed BLOB NOT NULL,
    protected BOOLEAN NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (scope_id, name)
);
CREATE TABLE scoped_variable (
    scope_id BLOB NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    protected BOOLEAN NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (scope_id, name)
);
INSERT INTO scoped_secret (scope_id, name, sealed, protected, updated_at) SELECT project_id, name, sealed, FALSE, updated_at FROM secret;
INSERT INTO scoped_variable (scope_id, name, value, protected, updated_at) SELECT project_id, name, value, FALSE, updated_at FROM variable;
