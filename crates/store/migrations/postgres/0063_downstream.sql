-- The job that started a run, its run, and the run at the top of the tree.
ALTER TABLE run ADD COLUMN parent_run_id UUID;
ALTER TABLE run ADD COLUMN parent_job_id UUID;
ALTER TABLE run ADD COLUMN root_run_id UUID;
CREATE INDEX run_parent ON run (parent_run_id) WHERE parent_run_id IS NOT NULL;
CREATE INDEX run_root ON run (root_run_id) WHERE root_run_id IS NOT NULL;
