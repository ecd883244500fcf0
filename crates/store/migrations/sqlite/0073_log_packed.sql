-- segments of a log are packed (LZ4 block, its length before it) when that is worth it
ALTER TABLE job_log ADD COLUMN packed BOOLEAN NOT NULL DEFAULT FALSE;
