-- what a step used of its machine; NULL is not known
ALTER TABLE step ADD COLUMN cpu_user_ms BIGINT;
ALTER TABLE step ADD COLUMN cpu_system_ms BIGINT;
ALTER TABLE step ADD COLUMN memory_peak_bytes BIGINT;
ALTER TABLE step ADD COLUMN read_bytes BIGINT;
ALTER TABLE step ADD COLUMN written_bytes BIGINT;
