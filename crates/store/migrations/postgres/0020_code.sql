-- the files of the default branch, as of the commit in source_progress
CREATE TABLE source_file (
    project_id UUID NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    oid TEXT NOT NULL,
    kind TEXT NOT NULL,
    size BIGINT NOT NULL,
    language TEXT,
    last_commit TEXT,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (project_id, path)
);

-- what was measured in a file; it holds as long as the file has this content
CREATE TABLE source_metric (
    project_id UUID NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    oid TEXT NOT NULL,
    language TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    lines BIGINT NOT NULL,
    code BIGINT NOT NULL,
    comments BIGINT NOT NULL,
    blanks BIGINT NOT NULL,
    functions BIGINT NOT NULL,
    cyclomatic BIGINT NOT NULL,
    cognitive BIGINT NOT NULL,
    parse_error BOOLEAN NOT NULL,
    skipped TEXT,
    PRIMARY KEY (project_id, path)
);
CREATE INDEX source_metric_oid ON source_metric (project_id, oid);

CREATE TABLE source_function (
    project_id UUID NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    name TEXT NOT NULL,
    line BIGINT NOT NULL,
    end_line BIGINT NOT NULL,
    lines BIGINT NOT NULL,
    params BIGINT NOT NULL,
    cyclomatic BIGINT NOT NULL,
    cognitive BIGINT NOT NULL,
    PRIMARY KEY (project_id, path, seq)
);
CREATE INDEX source_function_cyclomatic ON source_function (project_id, cyclomatic DESC, path, seq);
CREATE INDEX source_function_cognitive ON source_function (project_id, cognitive DESC, path, seq);
CREATE INDEX source_function_lines ON source_function (project_id, lines DESC, path, seq);

-- sums over source_metric, kept up with each change
CREATE TABLE source_total (
    project_id UUID NOT NULL,
    language TEXT COLLATE "C" NOT NULL,
    files BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    lines BIGINT NOT NULL,
    code BIGINT NOT NULL,
    comments BIGINT NOT NULL,
    blanks BIGINT NOT NULL,
    functions BIGINT NOT NULL,
    cyclomatic BIGINT NOT NULL,
    cognitive BIGINT NOT NULL,
    parse_errors BIGINT NOT NULL,
    skipped BIGINT NOT NULL,
    PRIMARY KEY (project_id, language)
);

CREATE TABLE source_manifest (
    project_id UUID NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    oid TEXT NOT NULL,
    ecosystem TEXT NOT NULL,
    packages BIGINT NOT NULL,
    error TEXT,
    PRIMARY KEY (project_id, path)
);

CREATE TABLE source_dependency (
    project_id UUID NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    ecosystem TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    locked BOOLEAN NOT NULL,
    direct BOOLEAN,
    scope TEXT,
    PRIMARY KEY (project_id, path, seq)
);

-- how far each consumer of the default branch has come: all of done, and parts of target while it is set
CREATE TABLE source_progress (
    project_id UUID NOT NULL,
    consumer TEXT NOT NULL,
    done TEXT,
    target TEXT,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (project_id, consumer)
);
