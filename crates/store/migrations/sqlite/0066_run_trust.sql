-- How far a run is trusted: decided once, when it is made.
ALTER TABLE run ADD COLUMN trust TEXT NOT NULL DEFAULT 'member';
