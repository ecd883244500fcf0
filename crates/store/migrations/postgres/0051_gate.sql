-- When what holds a job besides other jobs (a person, time) lets it go, or let it go.
ALTER TABLE pipeline_job ADD COLUMN released_at BIGINT;
CREATE INDEX pipeline_job_released ON pipeline_job (released_at) WHERE state = 'waiting' AND released_at IS NOT NULL;
