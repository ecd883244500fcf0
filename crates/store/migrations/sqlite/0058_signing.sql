-- Key pairs of the instance: the private half is sealed with the key outside the database.
CREATE TABLE signing_key (
    id TEXT PRIMARY KEY,
    purpose TEXT NOT NULL,
    public BLOB NOT NULL,
    sealed BLOB NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX signing_key_age ON signing_key (purpose, created_at);
