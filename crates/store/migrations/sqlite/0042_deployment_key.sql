-- A request that is repeated finds the deployment it made.
ALTER TABLE deployment ADD COLUMN request_key TEXT;
CREATE UNIQUE INDEX deployment_request_key ON deployment (environment_id, request_key);
