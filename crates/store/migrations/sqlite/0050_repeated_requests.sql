-- Who works on a keyed request, until when it is believed to live, and what it had made when it died.
ALTER TABLE idempotency ADD COLUMN request BLOB;
ALTER TABLE idempotency ADD COLUMN claim BLOB;
ALTER TABLE idempotency ADD COLUMN claimed_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE idempotency ADD COLUMN receipt BLOB;
-- Calls of a runner that add something: one that is repeated adds nothing.
CREATE TABLE job_call (
    job_id BLOB NOT NULL,
    call BIGINT NOT NULL,
    PRIMARY KEY (job_id, call)
);
