-- A runner that drains takes no more jobs; an ephemeral one takes a single job in its life.
ALTER TABLE runner ADD COLUMN draining BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE runner ADD COLUMN ephemeral BOOLEAN NOT NULL DEFAULT FALSE;
