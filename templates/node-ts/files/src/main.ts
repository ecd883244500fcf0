/** Starts the service, and stops it on SIGTERM. */

import { createApp } from "./app.js";
import { portFrom } from "./port.js";

const app = createApp();
app.listen(portFrom(process.env["PORT"]), () => {
  console.log("listening on", app.address());
});

function stop(): void {
  // requests under way finish; idle connections are closed now
  app.close(() => {
    console.log("stopped");
  });
  app.closeIdleConnections();
  setTimeout(() => process.exit(1), 10_000).unref();
}

process.once("SIGTERM", stop);
process.once("SIGINT", stop);
