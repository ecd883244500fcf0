/**
 * One person takes a project through its life in a real browser, against a real server: sign in, create, read, build,
 * deploy, roll back, share. The steps need each other, so they are one suite, in this order.
 */
import "./walk/sign-in.ts";
import "./walk/list.ts";
import "./walk/create.ts";
import "./walk/run.ts";
import "./walk/workflows.ts";
import "./walk/deploy.ts";
import "./walk/people.ts";
import "./walk/values.ts";
import "./walk/pipelines.ts";

// How pages look does not depend on the database, and they are many: once is enough.
if (!process.env.E2E_DATABASE_URL) await import("./walk/everywhere.ts");
