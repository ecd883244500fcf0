-- Whose job it is, and when its turn is: the time it was queued, later for what matters less. In the lanes of the queue
-- (labels, namespace) the next job is the first of the index; the old index gives way to it.
ALTER TABLE pipeline_job ADD COLUMN namespace TEXT NOT NULL DEFAULT '';
ALTER TABLE pipeline_job ADD COLUMN priority BIGINT NOT NULL DEFAULT 1;
ALTER TABLE pipeline_job ADD COLUMN turn BIGINT NOT NULL DEFAULT 0;
UPDATE pipeline_job SET turn = COALESCE(queued_at, 0) WHERE state IN ('queued', 'unschedulable');
CREATE INDEX pipeline_job_lane ON pipeline_job (label_key, namespace, turn, id) WHERE state IN ('queued', 'unschedulable');
CREATE INDEX pipeline_job_share ON pipeline_job (namespace) WHERE state = 'running';
DROP INDEX pipeline_job_queue;
